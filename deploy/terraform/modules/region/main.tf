# One region, whole: it serves alone when the other one is gone.

module "keys" {
  source = "../keys"
  name   = var.name
}

module "network" {
  source      = "../network"
  name        = var.name
  cidr        = var.cidr
  zones       = var.zones
  log_key_arn = module.keys.arns.logs
}

module "cluster" {
  source                  = "../cluster"
  name                    = var.name
  kubernetes_version      = var.kubernetes_version
  subnet_ids              = module.network.private_subnet_ids
  administrator_cidrs     = var.administrator_cidrs
  administrator_role_arns = var.administrator_role_arns
  instance_types          = var.instance_types
  nodes                   = var.nodes
  key_arn                 = module.keys.arns.cluster
  log_key_arn             = module.keys.arns.logs
}

module "archive" {
  source      = "../archive"
  name        = var.name
  key_arns    = { backups = module.keys.arns.backups, audit = module.keys.arns.audit }
  backup_days = var.backup_days
  audit_years = var.audit_years
  copy        = var.copy
}

module "cache" {
  source                   = "../cache"
  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.store_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  node_type                = var.cache_node_type
  key_arn                  = module.keys.arns.cluster
  auth_token               = var.redis_token
}

module "monitoring" {
  source          = "../monitoring"
  name            = var.name
  alarm_addresses = var.alarm_addresses
  log_key_arn     = module.keys.arns.logs
  copied_buckets = var.copy == null ? {} : {
    for what, bucket in module.archive.buckets : what => {
      source      = bucket
      destination = element(split(":", var.copy.bucket_arns[what]), 5)
    }
  }
}

module "identity" {
  source            = "../identity"
  name              = var.name
  oidc_provider_arn = module.cluster.oidc_provider_arn
  oidc_issuer       = module.cluster.oidc_issuer
  service_accounts  = var.service_accounts
  key_arns          = module.keys.arns
  bucket_arns       = module.archive.arns
  secret_names      = var.secret_names
  workspace_arn     = module.monitoring.workspace_arn
}
