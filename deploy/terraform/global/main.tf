# What the regions share: the record's replica set over both (and a third that only votes), and the name that leads to one
# of them. The state lies apart from theirs, so that either can be changed while the other is gone.

terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.20"
    }
    mongodbatlas = {
      source  = "mongodb/mongodbatlas"
      version = "~> 1.41"
    }
  }

  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.regions.primary.aws
  allowed_account_ids = [var.account_id]
}

provider "aws" {
  alias               = "secondary"
  region              = var.regions.secondary.aws
  allowed_account_ids = [var.account_id]
}

# Reads MONGODB_ATLAS_PUBLIC_KEY and MONGODB_ATLAS_PRIVATE_KEY.
provider "mongodbatlas" {}

resource "mongodbatlas_project" "this" {
  name                           = var.name
  org_id                         = var.atlas_organization
  is_data_explorer_enabled       = false
  is_performance_advisor_enabled = true
}

# Two members in each region that serves, and one vote elsewhere: whichever region is lost, three of five elect a leader.
resource "mongodbatlas_advanced_cluster" "record" {
  project_id                     = mongodbatlas_project.this.id
  name                           = var.name
  cluster_type                   = "REPLICASET"
  mongo_db_major_version         = "8.0"
  backup_enabled                 = true
  pit_enabled                    = true
  termination_protection_enabled = true
  encryption_at_rest_provider    = "AWS"
  redact_client_log_data         = true

  replication_specs {
    dynamic "region_configs" {
      for_each = [
        { region = var.regions.primary.aws, members = 2 },
        { region = var.regions.secondary.aws, members = 2 },
        { region = var.regions.vote, members = 1 },
      ]
      content {
        provider_name = "AWS"
        region_name   = upper(replace(region_configs.value.region, "-", "_"))
        priority      = 7 - region_configs.key

        electable_specs {
          instance_size = var.instance_size
          node_count    = region_configs.value.members
        }

        auto_scaling {
          disk_gb_enabled = true
        }
      }
    }
  }

  advanced_configuration {
    minimum_enabled_tls_protocol = "TLS1_2"
    javascript_enabled           = false
    # what a member that was away may catch up with, and what is restored to a point in time
    oplog_min_retention_hours = 48
  }

  depends_on = [mongodbatlas_encryption_at_rest.this]

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [disk_size_gb]
  }
}

resource "mongodbatlas_encryption_at_rest" "this" {
  project_id = mongodbatlas_project.this.id

  aws_kms_config {
    enabled                = true
    customer_master_key_id = var.regions.primary.key_arn
    region                 = upper(replace(var.regions.primary.aws, "-", "_"))
    role_id                = var.atlas_role_id
  }
}

resource "mongodbatlas_cloud_backup_schedule" "record" {
  project_id               = mongodbatlas_project.this.id
  cluster_name             = mongodbatlas_advanced_cluster.record.name
  reference_hour_of_day    = 1
  reference_minute_of_hour = 0
  restore_window_days      = 7

  policy_item_hourly {
    frequency_interval = 1
    retention_unit     = "days"
    retention_value    = 7
  }

  policy_item_daily {
    frequency_interval = 1
    retention_unit     = "days"
    retention_value    = 35
  }

  dynamic "copy_settings" {
    for_each = var.copy_backups ? [1] : []
    content {
      cloud_provider     = "AWS"
      region_name        = upper(replace(var.regions.secondary.aws, "-", "_"))
      zone_id            = mongodbatlas_advanced_cluster.record.replication_specs[0].zone_id
      frequencies        = ["HOURLY", "DAILY"]
      should_copy_oplogs = true
    }
  }
}

# The record is reached through private endpoints alone.
resource "mongodbatlas_privatelink_endpoint" "this" {
  for_each      = local.networks
  project_id    = mongodbatlas_project.this.id
  provider_name = "AWS"
  region        = each.value.aws
}

locals {
  networks = {
    primary   = var.regions.primary
    secondary = var.regions.secondary
  }
}

resource "aws_security_group" "primary" {
  name_prefix = "${var.name}-record-"
  description = "The record"
  vpc_id      = var.regions.primary.vpc_id
}

resource "aws_security_group" "secondary" {
  provider    = aws.secondary
  name_prefix = "${var.name}-record-"
  description = "The record"
  vpc_id      = var.regions.secondary.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "primary" {
  security_group_id            = aws_security_group.primary.id
  description                  = "MongoDB, from the nodes of the cluster"
  referenced_security_group_id = var.regions.primary.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 1024
  to_port                      = 65535
}

resource "aws_vpc_security_group_ingress_rule" "secondary" {
  provider                     = aws.secondary
  security_group_id            = aws_security_group.secondary.id
  description                  = "MongoDB, from the nodes of the cluster"
  referenced_security_group_id = var.regions.secondary.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 1024
  to_port                      = 65535
}

resource "aws_vpc_endpoint" "primary" {
  vpc_id             = var.regions.primary.vpc_id
  service_name       = mongodbatlas_privatelink_endpoint.this["primary"].endpoint_service_name
  vpc_endpoint_type  = "Interface"
  subnet_ids         = var.regions.primary.subnet_ids
  security_group_ids = [aws_security_group.primary.id]
}

resource "aws_vpc_endpoint" "secondary" {
  provider           = aws.secondary
  vpc_id             = var.regions.secondary.vpc_id
  service_name       = mongodbatlas_privatelink_endpoint.this["secondary"].endpoint_service_name
  vpc_endpoint_type  = "Interface"
  subnet_ids         = var.regions.secondary.subnet_ids
  security_group_ids = [aws_security_group.secondary.id]
}

resource "mongodbatlas_privatelink_endpoint_service" "this" {
  for_each = {
    primary   = aws_vpc_endpoint.primary.id
    secondary = aws_vpc_endpoint.secondary.id
  }
  project_id          = mongodbatlas_project.this.id
  private_link_id     = mongodbatlas_privatelink_endpoint.this[each.key].private_link_id
  endpoint_service_id = each.value
  provider_name       = "AWS"
}

# The name that clients know leads to the first region while that says that it is ready, else to the second.
resource "aws_route53_health_check" "region" {
  for_each          = local.networks
  type              = "HTTPS"
  fqdn              = each.value.balancer
  port              = 443
  resource_path     = "/health/ready"
  enable_sni        = true
  request_interval  = 10
  failure_threshold = 3
  measure_latency   = true
}

resource "aws_route53_record" "record" {
  for_each        = local.networks
  zone_id         = var.zone_id
  name            = var.host
  type            = "CNAME"
  ttl             = 60
  records         = [each.value.balancer]
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.region[each.key].id

  failover_routing_policy {
    type = upper(each.key)
  }
}
