variable "region" {
  description = "The AWS region; a tenant's data lie in it."
  type        = string
  default     = "eu-west-1"
}

variable "account_id" {
  description = "Number of the AWS account: nothing is made in another."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Twelve digits."
  }
}

variable "name" {
  description = "What everything of the region is called; the setting `region` of its servers."
  type        = string
  default     = "fhir-eu2"
}

variable "cidr" {
  description = "Addresses of the network; the regions have different ones."
  type        = string
  default     = "10.1.0.0/16"
}

variable "administrator_role_arns" {
  description = "Roles of the people who administer the cluster."
  type        = list(string)
}

variable "administrator_cidrs" {
  description = "Networks from which the control plane is reached; empty: from inside alone."
  type        = list(string)
  default     = []
}

variable "nodes" {
  description = "Fewest and most nodes; few wait here until the load of the first region comes."
  type        = object({ least = number, most = number })
  default     = { least = 3, most = 12 }
}

variable "instance_types" {
  description = "Of the nodes."
  type        = list(string)
  default     = ["m7i.xlarge"]
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
  description = "Outputs bucket_arns and key_arns of the other region, where copies may lie there; null: nothing leaves."
  type = object({
    bucket_arns = map(string)
    key_arns    = map(string)
  })
  default = null
}

variable "redis_token" {
  description = "Password of Redis, by TF_VAR_redis_token."
  type        = string
  sensitive   = true
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)
}
