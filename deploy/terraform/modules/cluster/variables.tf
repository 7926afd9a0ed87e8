variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor release of Kubernetes; the chart is checked against 1.34."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[0-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "1.30 or newer, without the patch."
  }
}

variable "subnet_ids" {
  description = "Private subnets, one in each zone."
  type        = list(string)
}

variable "administrator_cidrs" {
  description = "Networks from which the control plane is reached; empty: from inside alone."
  type        = list(string)

  validation {
    condition     = !contains(var.administrator_cidrs, "0.0.0.0/0")
    error_message = "Not everybody."
  }
}

variable "administrator_role_arns" {
  description = "Roles of the people who administer the cluster."
  type        = list(string)

  validation {
    condition     = length(var.administrator_role_arns) > 0
    error_message = "One at least, or nobody could."
  }
}

variable "instance_types" {
  description = "Of the nodes."
  type        = list(string)
}

variable "nodes" {
  description = "Fewest and most nodes."
  type        = object({ least = number, most = number })

  validation {
    condition     = var.nodes.least >= 3 && var.nodes.most >= var.nodes.least
    error_message = "Three at least, one in each zone."
  }
}

variable "key_arn" {
  description = "Key of secrets and disks."
  type        = string
}

variable "log_key_arn" {
  description = "Key of the logs."
  type        = string
}
