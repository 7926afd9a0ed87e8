variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network, a /16 that no other region has."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "A /16, as 10.0.0.0/16."
  }
}

variable "log_key_arn" {
  description = "Key of the logs."
  type        = string
}

variable "zones" {
  description = "Letters of the three zones."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Three different zones."
  }
}
