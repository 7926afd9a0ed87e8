output "mongodb_hosts" {
  description = "Connection strings of the private endpoints, without user and password."
  value       = mongodbatlas_advanced_cluster.record.connection_strings
}

output "url" {
  description = "The setting base_url of all servers."
  value       = "https://${var.host}/fhir"
}
