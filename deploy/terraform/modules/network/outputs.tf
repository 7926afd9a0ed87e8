output "vpc_id" {
  value = aws_vpc.this.id
}

output "private_subnet_ids" {
  value = [for zone in local.zones : aws_subnet.this["private-${zone}"].id]
}

output "store_subnet_ids" {
  value = [for zone in local.zones : aws_subnet.this["store-${zone}"].id]
}

output "private_cidrs" {
  value = [for zone in local.zones : aws_subnet.this["private-${zone}"].cidr_block]
}
