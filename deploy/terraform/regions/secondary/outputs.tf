output "cluster" {
  value = module.region.cluster
}

output "network" {
  value = module.region.network
}

output "role_arns" {
  value = module.region.role_arns
}

output "key_arns" {
  value = module.region.key_arns
}

output "bucket_arns" {
  value = module.region.bucket_arns
}

output "backups" {
  value = module.region.backups
}

output "redis" {
  value = module.region.redis
}

output "prometheus" {
  value = module.region.prometheus
}

output "alarms" {
  value = module.region.alarms
}
