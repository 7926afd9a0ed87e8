# The secondary region. Its state lies in a bucket of its own region: backend.hcl.example.

terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.20"
    }
  }

  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Service = "fhir"
      Region  = "secondary"
      Data    = "health"
    }
  }
}

module "region" {
  source                  = "../../modules/region"
  name                    = var.name
  cidr                    = var.cidr
  administrator_role_arns = var.administrator_role_arns
  administrator_cidrs     = var.administrator_cidrs
  nodes                   = var.nodes
  instance_types          = var.instance_types
  backup_days             = var.backup_days
  audit_years             = var.audit_years
  copy                    = var.copy
  redis_token             = var.redis_token
  alarm_addresses         = var.alarm_addresses
}
