# Prometheus' workspace with the alarms of deploy/prometheus, a topic that tells people, and alarms on what AWS runs.

data "aws_iam_policy_document" "topic" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "aps.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

data "aws_caller_identity" "here" {}

data "aws_region" "here" {}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "people" {
  for_each  = toset(var.alarm_addresses)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_log_group" "pods" {
  name              = "/pods/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.log_key_arn
}

resource "aws_prometheus_workspace" "this" {
  alias       = var.name
  kms_key_arn = var.log_key_arn
}

resource "aws_prometheus_rule_group_namespace" "server" {
  name         = "fhir-server"
  workspace_id = aws_prometheus_workspace.this.id
  data         = file("${path.module}/../../../prometheus/alerts.yml")
}

resource "aws_prometheus_alert_manager_definition" "this" {
  workspace_id = aws_prometheus_workspace.this.id
  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = { receiver = "people", group_by = ["alertname"] }
      receivers = [{
        name = "people"
        sns_configs = [{
          topic_arn = aws_sns_topic.alarms.arn
          sigv4     = { region = data.aws_region.here.region }
        }]
      }]
    })
  })
}

resource "aws_cloudwatch_metric_alarm" "redis_memory" {
  alarm_name          = "${var.name}-redis-memory"
  alarm_description   = "Redis is nearly full; rates are then counted by each pod for itself."
  namespace           = "AWS/ElastiCache"
  metric_name         = "DatabaseMemoryUsagePercentage"
  dimensions          = { ReplicationGroupId = var.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 300
  evaluation_periods  = 3
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "copies" {
  for_each            = var.copied_buckets
  alarm_name          = "${var.name}-${each.key}-copies"
  alarm_description   = "Copies to the other region are older than the goal for what may be lost."
  namespace           = "AWS/S3"
  metric_name         = "ReplicationLatency"
  dimensions          = { SourceBucket = each.value.source, DestinationBucket = each.value.destination, RuleId = "other-region" }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 3600
  period              = 300
  evaluation_periods  = 3
  alarm_actions       = [aws_sns_topic.alarms.arn]
}
