variable "name" {
  description = "What everything of the region is called."
  type        = string
}

variable "key_arns" {
  description = "Keys of the buckets."
  type        = object({ backups = string, audit = string })
}

variable "backup_days" {
  description = "Days for which a backup can be neither changed nor removed."
  type        = number

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 3650
    error_message = "7 to 3650: nobody can shorten it afterwards, and no erasure reaches what lies there before it ends."
  }
}

variable "audit_years" {
  description = "Years for which the audit can be neither changed nor removed."
  type        = number

  validation {
    condition     = var.audit_years >= 1 && var.audit_years <= 30
    error_message = "1 to 30."
  }
}

variable "copy" {
  description = "Buckets and keys of the other region, both with `backups` and `audit`; null: nothing leaves this one."
  type = object({
    bucket_arns = map(string)
    key_arns    = map(string)
  })
  default = null
}
