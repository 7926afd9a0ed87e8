"""The chart: valid for Kubernetes, its pods may do little, and it refuses values that cannot be right."""

import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fhir_server.settings import Settings
from tests.unit.deploy.rendered import CHART, KUBERNETES, ROOT, helm, manifests, one, pods, render

VALUES = ("sqlite", "mongodb", "bare")
OF_OPERATORS = {"ExternalSecret", "ServiceMonitor", "PrometheusRule"}
"""Kinds of operators, whose schemas Kubernetes does not have."""


@pytest.mark.parametrize("values", VALUES)
def test_helm_has_nothing_to_say_and_kubernetes_knows_every_member(values: str) -> None:
    linted = helm("lint", "--strict", CHART, "--values", CHART / f"ci/{values}-values.yaml", "--kube-version", "1.34.0")
    assert linted.returncode == 0, linted.stdout
    made = manifests(values)
    for each in made:
        if each["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)


@pytest.mark.parametrize("values", VALUES)
def test_pods_run_as_nobody_on_a_root_that_is_read_only(values: str) -> None:
    for pod in pods(manifests(values)):
        assert pod["automountServiceAccountToken"] is False
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            written = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
            assert written <= {"/data", "/tmp", "/backup", "/scratch"}


@pytest.mark.parametrize("values", VALUES)
def test_the_settings_are_a_file_that_the_server_reads(values: str) -> None:
    text = one(manifests(values), "ConfigMap", "-settings")["data"]["server.toml"]
    given = tomllib.loads(text)
    known = {name: value for name, value in given.items() if name in Settings.model_fields}
    assert given.keys() == known.keys()
    read = Settings(**known)
    assert (read.host, read.demo, read.storage) == ("0.0.0.0", False, given["storage"])
    assert read.data_dir == Settings().data_dir, "the variable says it, so that the health check knows it too"


def test_secrets_reach_the_server_as_variables_of_settings_alone() -> None:
    (container,) = pods(manifests("mongodb"))[0]["containers"]
    known = {f"FHIR_SERVER_{name.upper()}" for name in Settings.model_fields}
    given = {each["name"] for each in container["env"]}
    assert given - known == {"OTEL_EXPORTER_OTLP_HEADERS"}, "which the exporter reads itself"
    assert all("valueFrom" in each for each in container["env"] if each["name"] != "FHIR_SERVER_DATA_DIR")


def test_a_pod_has_time_to_drain_and_to_end() -> None:
    (deployment,) = [each for each in manifests("mongodb") if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    given = tomllib.loads(one(manifests("mongodb"), "ConfigMap", "-settings")["data"]["server.toml"])
    assert pod["terminationGracePeriodSeconds"] >= given["drain"] + given["stop_grace"] + 10
    probe = pod["containers"][0]["readinessProbe"]
    assert given["drain"] >= probe["periodSeconds"] * probe["failureThreshold"] + 5
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_nothing_reaches_a_pod_or_is_reached_unless_it_is_named() -> None:
    made = manifests("mongodb")
    nothing = one(made, "NetworkPolicy", "-nothing")["spec"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert not nothing.keys() & {"ingress", "egress"}
    asked = one(made, "NetworkPolicy", "-asked")["spec"]["ingress"]
    assert all(rule["from"] and rule["ports"] == [{"protocol": "TCP", "port": "http"}] for rule in asked)
    asks = one(made, "NetworkPolicy", "-asks")["spec"]["egress"]
    assert all(rule["to"] for rule in asks)
    assert [rule["ports"][0]["port"] for rule in asks] == [53, 27017, 9200, 6379, 4318, 443]


def test_numbers_and_alarms_go_to_prometheus_and_not_through_the_ingress() -> None:
    made = manifests("mongodb")
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    assert one(made, "PrometheusRule")["spec"] == rules
    monitor = one(made, "ServiceMonitor")
    service = next(each for each in made if each["kind"] == "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "fhir-server"
    drawn = one(made, "ConfigMap", "-dashboards")["data"]
    assert drawn.keys() == {path.name for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    paths = [path["path"] for path in one(made, "Ingress")["spec"]["rules"][0]["http"]["paths"]]
    assert "/fhir" in paths
    assert not {"/", "/metrics", "/health", "/docs"} & set(paths)


def test_one_pod_with_a_volume_on_sqlite_and_no_budget_that_would_hold_a_node() -> None:
    made = manifests("sqlite")
    kinds = {each["kind"] for each in made}
    assert not kinds & {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    server = one(made, "StatefulSet")["spec"]
    assert server["replicas"] == 1
    assert server["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    job = one(made, "CronJob", "-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    claims = [each["persistentVolumeClaim"] for each in job["volumes"] if "persistentVolumeClaim" in each]
    volumes = server["template"]["spec"]["volumes"]
    assert claims == [each["persistentVolumeClaim"] for each in volumes if "persistentVolumeClaim" in each]


def test_an_archive_in_a_bucket_needs_no_volume_and_is_drilled_with_the_same_settings() -> None:
    made = manifests("sqlite", ("backup.bucket=s3://clinic-backups/fhir", "settings.backup_s3_lock_days=14"))
    settings = tomllib.loads(one(made, "ConfigMap", "-settings")["data"]["server.toml"])
    assert (settings["backup_archive"], settings["backup_s3_lock_days"]) == ("s3://clinic-backups/fhir", 14)
    known = {name: value for name, value in settings.items() if name in Settings.model_fields}
    assert Settings(**known).backup_archive == "s3://clinic-backups/fhir"
    job = one(made, "CronJob", "-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "affinity" not in job
    assert job["containers"][0]["command"][1:4] == ["drill", "--config", "/etc/fhir-server/settings/server.toml"]
    assert not [each for spec in pods(made) for each in spec["volumes"] if each["name"] == "backup"]
    assert not [each for each in made if each["kind"] == "PersistentVolumeClaim"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backup.bucket": "clinic-backups"}, "bucket"),
        ({"settings.mongodb_url": "mongodb://user:password@db/"}, "mongodb_url"),
        ({"settings.host": "127.0.0.1"}, "host"),
        ({"storage": "postgresql"}, "storage"),
        ({"image.tag": "latest"}, "tag"),
        ({"replica": "3"}, "replica"),
        ({"ingress.enabled": "true"}, "host"),
        ({"ingress.paths[0]": "/metrics"}, "paths"),
        ({"resources.limits.memory": "much"}, "memory"),
        ({"dimse.enabled": "true"}, "needs storage: sqlite"),
        ({"upgradeHook.enabled": "true"}, "command"),
    ],
)
def test_values_that_cannot_be_right_are_refused_by_name(given: dict[str, Any], said: str) -> None:
    done = render(*(word for name, value in given.items() for word in ("--set", f"{name}={value}")))
    assert done.returncode != 0
    assert said in done.stderr
