output "buckets" {
  value = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "arns" {
  value = { for name, bucket in aws_s3_bucket.this : name => bucket.arn }
}
