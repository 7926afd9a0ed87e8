variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of stores."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "Group of the nodes."
  type        = string
}

variable "node_type" {
  description = "Size of a node."
  type        = string
}

variable "key_arn" {
  description = "Key of what lies on disk."
  type        = string
}

variable "auth_token" {
  description = "Password of Redis; it stands in the state, which is encrypted."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,128}$", var.auth_token))
    error_message = "32 to 128 letters and digits."
  }
}
