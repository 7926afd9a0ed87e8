variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "oidc_provider_arn" {
  description = "Of the cluster."
  type        = string
}

variable "oidc_issuer" {
  description = "Of the cluster, without https://."
  type        = string
}

variable "service_accounts" {
  description = "As NAMESPACE:NAME: of the server, of the External Secrets Operator, of Prometheus."
  type        = object({ server = string, secrets = string, metrics = string })

  validation {
    condition     = alltrue([for each in values(var.service_accounts) : can(regex("^[a-z0-9-]+:[a-z0-9.-]+$", each))])
    error_message = "NAMESPACE:NAME each, without wildcards."
  }
}

variable "key_arns" {
  description = "Of the module keys."
  type        = map(string)
}

variable "bucket_arns" {
  description = "Of the module archive."
  type        = map(string)
}

variable "secret_names" {
  description = "Secrets of Secrets Manager that the operator may read."
  type        = list(string)

  validation {
    condition     = alltrue([for each in var.secret_names : !strcontains(each, "*")])
    error_message = "Names, no patterns."
  }
}

variable "workspace_arn" {
  description = "Workspace of Prometheus."
  type        = string
}
