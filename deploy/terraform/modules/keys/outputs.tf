output "arns" {
  description = "Of the keys record, backups, audit, cluster, logs."
  value       = { for name, key in aws_kms_key.this : name => key.arn }
}
