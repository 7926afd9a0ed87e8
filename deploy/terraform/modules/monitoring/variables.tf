variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)

  validation {
    condition     = length(var.alarm_addresses) > 0 && alltrue([for each in var.alarm_addresses : strcontains(each, "@")])
    error_message = "One at least."
  }
}

variable "log_key_arn" {
  description = "Key of logs and numbers."
  type        = string
}

variable "copied_buckets" {
  description = "Buckets that are copied to the other region, by what they are."
  type        = map(object({ source = string, destination = string }))
  default     = {}
}
