output "cluster" {
  description = "Name and endpoint of the control plane."
  value       = { name = module.cluster.name, endpoint = module.cluster.endpoint }
}

output "network" {
  description = "What the record's private endpoint is joined to, and what the chart's network policy names."
  value = {
    vpc_id            = module.network.vpc_id
    subnet_ids        = module.network.private_subnet_ids
    cidrs             = module.network.private_cidrs
    security_group_id = module.cluster.security_group_id
  }
}

output "role_arns" {
  value = module.identity.role_arns
}

output "key_arns" {
  value = module.keys.arns
}

output "bucket_arns" {
  value = module.archive.arns
}

output "backups" {
  description = "Settings of the server for its archive in the bucket, with `storage` sqlite."
  value = {
    backup_archive       = "s3://${module.archive.buckets.backups}/archive"
    backup_keep          = var.backup_days
    backup_s3_lock       = "compliance"
    backup_s3_lock_days  = var.backup_days
    backup_s3_encryption = "aws:kms"
    backup_s3_kms_key    = module.keys.arns.backups
  }
}

output "redis" {
  description = "Host and port, for rediss://:TOKEN@..."
  value       = module.cache.endpoint
}

output "prometheus" {
  value = module.monitoring.remote_write_url
}

output "alarms" {
  value = module.monitoring.topic_arn
}
