variable "name" {
  description = "What is shared is called so."
  type        = string
  default     = "fhir"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "3 to 20 of a-z, 0-9 and -, a letter first."
  }
}

variable "account_id" {
  description = "Number of the AWS account: nothing is made in another."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Twelve digits."
  }
}

variable "regions" {
  description = "The outputs of the two regions that serve, the names of their balancers, and the region of the fifth vote. All three hold the data: they lie where the law lets it."
  type = object({
    primary = object({
      aws               = string
      vpc_id            = string
      subnet_ids        = list(string)
      security_group_id = string
      key_arn           = string
      balancer          = string
    })
    secondary = object({
      aws               = string
      vpc_id            = string
      subnet_ids        = list(string)
      security_group_id = string
      key_arn           = string
      balancer          = string
    })
    vote = string
  })

  validation {
    condition     = length(distinct([var.regions.primary.aws, var.regions.secondary.aws, var.regions.vote])) == 3
    error_message = "Three different regions."
  }
}

variable "atlas_organization" {
  description = "Organization of MongoDB Atlas."
  type        = string
}

variable "atlas_role_id" {
  description = "Role by which Atlas uses the key, as it was authorized in Atlas (cloud provider access)."
  type        = string
}

variable "instance_size" {
  description = "Size of the members."
  type        = string
  default     = "M40"

  validation {
    condition     = can(regex("^M([3-9][0-9]|[1-9][0-9]{2})$", var.instance_size))
    error_message = "M30 or larger: smaller ones have neither several regions nor private endpoints in each."
  }
}

variable "copy_backups" {
  description = "Whether backups are copied to the second region."
  type        = bool
  default     = true
}

variable "zone_id" {
  description = "Zone of Route 53."
  type        = string
}

variable "host" {
  description = "The name that clients know, as record.example."
  type        = string
}
