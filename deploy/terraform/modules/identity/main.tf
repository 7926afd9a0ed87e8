# What pods may do in AWS: each service account has a role of its own, and the role what its work needs and no more.

locals {
  accounts = {
    server  = var.service_accounts.server
    secrets = var.service_accounts.secrets
    metrics = var.service_accounts.metrics
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.accounts

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:sub"
      values   = ["system:serviceaccount:${each.value}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

# The server seals data keys with the master key, and adds to the archives. It cannot remove from them, nor shorten a lock:
# in the bucket of backups it marks what is past, of which each version stays while it is locked.
data "aws_iam_policy_document" "server" {
  statement {
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]
    resources = [var.key_arns.record]
  }
  statement {
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.key_arns.backups, var.key_arns.audit]
  }
  statement {
    actions   = ["s3:PutObject", "s3:GetObject", "s3:PutObjectRetention", "s3:GetObjectRetention"]
    resources = [for arn in values(var.bucket_arns) : "${arn}/*"]
  }
  statement {
    actions   = ["s3:ListBucket", "s3:GetBucketObjectLockConfiguration"]
    resources = values(var.bucket_arns)
  }
  statement {
    actions   = ["s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket_arns.backups}/*"]
  }
  statement {
    actions   = ["s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"]
    resources = [var.bucket_arns.backups]
  }
}

# The External Secrets Operator reads the secrets of this installation.
data "aws_iam_policy_document" "secrets" {
  statement {
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = [for name in var.secret_names : "arn:${data.aws_partition.here.partition}:secretsmanager:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:secret:${name}-*"]
  }
}

# Prometheus in the cluster writes to the workspace.
data "aws_iam_policy_document" "metrics" {
  statement {
    actions   = ["aps:RemoteWrite"]
    resources = [var.workspace_arn]
  }
}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

resource "aws_iam_role" "this" {
  for_each             = local.accounts
  name                 = "${var.name}-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "server" {
  name   = "work"
  role   = aws_iam_role.this["server"].id
  policy = data.aws_iam_policy_document.server.json
}

resource "aws_iam_role_policy" "secrets" {
  name   = "work"
  role   = aws_iam_role.this["secrets"].id
  policy = data.aws_iam_policy_document.secrets.json
}

resource "aws_iam_role_policy" "metrics" {
  name   = "work"
  role   = aws_iam_role.this["metrics"].id
  policy = data.aws_iam_policy_document.metrics.json
}
