output "role_arns" {
  description = "For the annotation eks.amazonaws.com/role-arn of the service accounts."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}
