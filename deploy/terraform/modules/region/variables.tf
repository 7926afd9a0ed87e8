variable "name" {
  description = "What everything of the region is called, as fhir-eu."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "3 to 20 of a-z, 0-9 and -, a letter first."
  }
}

variable "cidr" {
  description = "Addresses of the network, a /16 that no other region has."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor release of Kubernetes."
  type        = string
  default     = "1.34"
}

variable "administrator_cidrs" {
  description = "Networks from which the control plane is reached; empty: from inside alone."
  type        = list(string)
  default     = []
}

variable "administrator_role_arns" {
  description = "Roles of the people who administer the cluster."
  type        = list(string)
}

variable "instance_types" {
  description = "Of the nodes."
  type        = list(string)
  default     = ["m7i.xlarge"]
}

variable "nodes" {
  description = "Fewest and most nodes."
  type        = object({ least = number, most = number })
  default     = { least = 3, most = 12 }
}

variable "backup_days" {
  description = "Days for which a backup can be neither changed nor removed."
  type        = number
  default     = 35
}

variable "audit_years" {
  description = "Years for which the audit can be neither changed nor removed."
  type        = number
  default     = 10
}

variable "copy" {
  description = "Buckets and keys of the other region; null: nothing leaves this one."
  type = object({
    bucket_arns = map(string)
    key_arns    = map(string)
  })
  default = null
}

variable "cache_node_type" {
  description = "Size of a node of Redis."
  type        = string
  default     = "cache.t4g.small"
}

variable "redis_token" {
  description = "Password of Redis, 32 letters and digits or more."
  type        = string
  sensitive   = true
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)
}

variable "service_accounts" {
  description = "As NAMESPACE:NAME: of the server, of the External Secrets Operator, of Prometheus."
  type        = object({ server = string, secrets = string, metrics = string })
  default = {
    server  = "fhir:fhir-server"
    secrets = "external-secrets:external-secrets"
    metrics = "monitoring:prometheus"
  }
}

variable "secret_names" {
  description = "Secrets of Secrets Manager that the operator may read."
  type        = list(string)
  default     = ["fhir/server"]
}

variable "zones" {
  description = "Letters of the three zones."
  type        = list(string)
  default     = ["a", "b", "c"]
}
