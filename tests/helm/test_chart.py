"""The Helm chart makes objects that Kubernetes accepts and that fit our services, and refuses wrong values."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings as GatewaySettings
from tests.helm.tools import CHART, PINS, Helm, RefusedError, complaints, find_schemas
from tests.house.papers import environment_of
from tests.house.tree import ROOT
from tests.packages import install_apart
from worker.settings import Settings as WorkerSettings

OLDEST, NEWEST = "1.30.0", "1.37.0"
SMALLEST: dict[str, Any] = {"redis": {"url": "redis://redis:6379/0"}, "provider": {"existingSecret": "openai"}}
LARGEST: dict[str, Any] = {
    "image": {"registry": "registry.example.com/", "pullSecrets": ["pull"]},
    "redis": {"existingSecret": "redis", "gatewayKey": "gateway", "workerKey": "worker"},
    "provider": {"configMap": "table", "existingSecret": "openai", "baseUrl": "https://a/v1", "defaultModel": "m"},
    "access": {
        "existingSecret": "access",
        "secretKeys": ["keys", "password", "signing-keys"],
        "hosts": ["chat.example.com", "*.example.com"],
        "userHeader": True,
    },
    "proxySecret": {"existingSecret": "proxy"},
    "gateway": {
        "drainTimeoutS": 120,
        "settings": {"MANYCAST_LIST_RUNS": True, "MANYCAST_QUEUE_LIMIT": 5000},
        "autoscaling": {"kind": "hpa"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podAnnotations": {"a": "b"},
        "extraVolumes": [{"name": "x", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
    },
    "worker": {"graceS": 300, "settings": {"MANYCAST_SCRIPTS": "/scripts"}, "autoscaling": {"kind": "keda"}},
    "web": {"trustedProxies": ["10.0.0.0/8", "fd00::/8"], "frameOrigins": ["https://a.example.com"]},
    "prometheus": {"url": "http://prometheus:9090", "podMonitor": True},
    "ingress": {"enabled": True, "host": "chat.example.com", "tlsSecret": "certificate"},
    "networkPolicy": {
        "webFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "metricsFrom": [{"namespaceSelector": {}}],
        "redisPorts": [6379, 26379],
        "redisTo": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
    },
    "podDisruptionBudget": {"maxUnavailable": "25%"},
}
FOREIGN_KINDS = {"ScaledObject", "PodMonitor"}
"""Of KEDA and of the Prometheus operator: Kubernetes has no schema of them."""

WRONG: dict[str, dict[str, Any]] = {
    "a name that there is not": {"gateway": {"replcas": 2}},
    "a part that there is not": {"gatway": {}},
    "a word for a number": {"gateway": {"replicas": "two"}},
    "a negative number": {"worker": {"graceS": -1}},
    "zero where nothing would run": {"worker": {"streams": 0}},
    "a port out of range": {"web": {"service": {"port": 70_000}}},
    "a Redis by no known scheme": {"redis": {"url": "http://redis:6379"}},
    "a password in the open": {"redis": {"url": "redis://:secret@redis:6379/0"}},
    "a URL and a Secret for Redis": {"redis": {"existingSecret": "redis"}},
    "no Redis": {"redis": {"url": ""}},
    "no provider": {"provider": {"existingSecret": ""}},
    "a provider without a scheme": {"provider": {"baseUrl": "api.example.com/v1"}},
    "a name no Secret can have": {"access": {"existingSecret": "My Secret"}},
    "a key that nobody reads": {"access": {"existingSecret": "a", "secretKeys": ["passwort"]}},
    "users from a header without hosts": {"access": {"userHeader": True}},
    "a host with a scheme": {"access": {"hosts": ["https://chat.example.com"]}},
    "a name where an address belongs": {"web": {"trustedProxies": ["ingress"]}},
    "an Ingress without a host": {"ingress": {"enabled": True}},
    "an annotation that is no string": {"ingress": {"annotations": {"a": 3600}}},
    "a setting that the chart decides": {"gateway": {"settings": {"MANYCAST_PORT": "80"}}},
    "a secret among the settings": {"worker": {"settings": {"OPENAI_API_KEY": "sk-1"}}},
    "a setting in small letters": {"worker": {"settings": {"manycast_lease_s": 5}}},
    "a scaler that there is not": {"worker": {"autoscaling": {"kind": "vpa"}}},
    "fewer at most than at least": {"worker": {"autoscaling": {"kind": "hpa", "minReplicas": 9, "maxReplicas": 3}}},
    "a target above the limit": {"worker": {"autoscaling": {"kind": "hpa", "streamsPerReplica": 200}}},
    "KEDA without Prometheus": {"worker": {"autoscaling": {"kind": "keda"}}},
    "a budget that stops every drain": {"podDisruptionBudget": {"maxUnavailable": 0}},
    "a peer that is no peer": {"networkPolicy": {"redisTo": [{"cidr": "10.0.0.0/8"}]}},
    "an amount with an unknown unit": {"gateway": {"resources": {"limits": {"memory": "1 GB"}}}},
}


@pytest.fixture(scope="module")
def packages() -> Path:
    return install_apart(PINS)


@pytest.fixture(scope="module")
def helm(packages: Path) -> Helm:
    return Helm(packages)


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, maps merged at every depth; `other` wins."""
    both = dict(one)
    for key, value in other.items():
        is_map = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if is_map else value
    return both


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name -> the pod's spec, with its only container as `container` and its variables as `env`."""
    found = {}
    for thing in objects:
        if thing["kind"] == "Deployment":
            pod = thing["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            env = {one["name"]: one["value"] for one in container.get("env", ())}
            found[container["name"]] = {**pod, "container": container, "env": env}
    return found


@pytest.mark.parametrize("values", [SMALLEST, LARGEST], ids=["smallest", "largest"])
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_accepts_every_object(helm: Helm, packages: Path, version: str, values: dict[str, Any]) -> None:
    assert "0 chart(s) failed" in helm.lint(values)
    objects = helm.template(values)
    schemas = find_schemas(packages, version)
    ours = [thing for thing in objects if thing["kind"] not in FOREIGN_KINDS]
    assert [complaint for thing in ours for complaint in complaints(schemas, thing)] == []
    assert len({(thing["kind"], thing["metadata"]["name"]) for thing in objects}) == len(objects)


def test_the_schemas_find_a_misspelt_field_and_a_wrong_type(packages: Path, helm: Helm) -> None:
    schemas = find_schemas(packages, NEWEST)
    deployment = next(thing for thing in helm.template(SMALLEST) if thing["kind"] == "Deployment")
    for fault in ({"replica": 2}, {"replicas": "two"}, {"template": {"spec": {"containers": [{"image": "a"}]}}}):
        assert complaints(schemas, merged(deployment, {"spec": fault}))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_it_refuses(helm: Helm, wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        helm.template(merged(SMALLEST, wrong))


def test_a_refusal_of_a_password_in_the_open_does_not_hide_where(helm: Helm) -> None:
    with pytest.raises(RefusedError, match="redis/url"):
        helm.template(merged(SMALLEST, WRONG["a password in the open"]))


@pytest.mark.parametrize("values", [SMALLEST, LARGEST], ids=["smallest", "largest"])
def test_services_read_every_variable_that_the_chart_sets(helm: Helm, values: dict[str, Any]) -> None:
    pods = containers(helm.template(values))
    for part, settings in (("gateway", GatewaySettings), ("worker", WorkerSettings)):
        known = environment_of(settings)
        assert [
            name for name in pods[part]["env"] if name.removesuffix("_FILE") not in known and name not in known
        ] == []
    caddy = (ROOT / "web" / "Caddyfile").read_text()
    assert [name for name in pods["web"]["env"] if f"{{${name}" not in caddy] == []


@pytest.mark.parametrize("values", [SMALLEST, LARGEST], ids=["smallest", "largest"])
def test_a_pod_may_take_longer_to_end_than_its_drain(helm: Helm, values: dict[str, Any]) -> None:
    pods = containers(helm.template(values))
    gateway, worker = pods["gateway"], pods["worker"]
    pause_s = gateway["container"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = int(gateway["env"]["MANYCAST_DRAIN_TIMEOUT_S"])
    assert gateway["terminationGracePeriodSeconds"] >= pause_s + drain_s + 10
    assert worker["terminationGracePeriodSeconds"] >= int(worker["env"]["MANYCAST_GRACE_S"]) + 15


def test_no_pod_runs_as_root_or_writes_to_its_image(helm: Helm) -> None:
    pods = containers(helm.template(SMALLEST))
    assert set(pods) == {"gateway", "worker", "web"}
    for name, pod in pods.items():
        context = pod["container"]["securityContext"]
        assert (pod["securityContext"]["runAsNonRoot"], context["readOnlyRootFilesystem"]) == (True, True)
        assert (context["allowPrivilegeEscalation"], context["capabilities"]["drop"]) == (False, ["ALL"])
        assert context["capabilities"].get("add", []) == (["NET_BIND_SERVICE"] if name == "web" else [])
        assert pod["automountServiceAccountToken"] is False


def test_no_secret_of_the_operator_is_in_a_variable(helm: Helm) -> None:
    pods = containers(helm.template(LARGEST))
    assert pods["gateway"]["env"]["REDIS_URL_FILE"] == "/run/manycast/redis/gateway"
    assert pods["gateway"]["env"]["MANYCAST_SIGNING_KEYS_FILE"] == "/run/manycast/access/signing-keys"
    assert pods["worker"]["env"]["OPENAI_API_KEY_FILE"] == "/run/manycast/provider/openai-api-key"
    for pod in pods.values():
        mounted = {mount["mountPath"]: mount["name"] for mount in pod["container"]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for value in (value for name, value in pod["env"].items() if name.endswith("_FILE")):
            folder, _, file = value.rpartition("/")
            assert file in {item["path"] for item in volumes[mounted[folder]]["secret"]["items"]}


def test_the_proxys_secret_is_the_same_for_both_and_as_caddy_reads_it(helm: Helm) -> None:
    (secret,) = [thing["stringData"] for thing in helm.template(SMALLEST) if thing["kind"] == "Secret"]
    assert len(secret["proxy-secret"]) >= 32
    assert secret["proxy.caddy"] == f"header_up X-Manycast-Proxy {secret['proxy-secret']}\n"
    assert not [thing for thing in helm.template(LARGEST) if thing["kind"] == "Secret"]


def test_policies_let_only_the_page_and_monitoring_reach_gateways_and_nobody_reach_workers(helm: Helm) -> None:
    policies = {
        thing["metadata"]["name"]: thing["spec"] for thing in helm.template(LARGEST) if thing["kind"] == "NetworkPolicy"
    }
    (rule,) = policies["t-manycast-gateway"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    page, monitoring = rule["from"]
    assert page["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "web"
    assert monitoring == {"namespaceSelector": {}}
    worker = policies["t-manycast-worker"]
    assert "Ingress" in worker["policyTypes"]
    assert "ingress" not in worker
    for part in ("gateway", "worker"):
        to_redis = policies[f"t-manycast-{part}"]["egress"][1]
        assert [port["port"] for port in to_redis["ports"]] == [6379, 26379]
        assert to_redis["to"] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]


def test_autoscalers_use_metrics_that_gateways_serve(helm: Helm) -> None:
    source = (ROOT / "gateway" / "metrics.py").read_text()
    scaling = {"autoscaling": {"kind": "keda"}}
    by_keda = merged(LARGEST, {"gateway": scaling, "worker": scaling})
    by_hpa = merged(LARGEST, {part: {"autoscaling": {"kind": "hpa"}} for part in ("gateway", "worker")})
    scalers = [
        thing
        for thing in (*helm.template(by_keda), *helm.template(by_hpa))
        if thing["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}
    ]
    assert len(scalers) == 4
    for scaler in scalers:
        names = set(re.findall(r"manycast_\w+", str(scaler["spec"])))
        assert len(names) == 1
        assert f'"{names.pop()}"' in source
    deployments = [thing for thing in helm.template(by_hpa) if thing["kind"] == "Deployment"]
    # Otherwise each upgrade would set the number back.
    assert [one["metadata"]["name"] for one in deployments if "replicas" in one["spec"]] == ["t-manycast-web"]


def test_the_ingress_does_not_buffer_and_waits(helm: Helm) -> None:
    (ingress,) = [thing for thing in helm.template(LARGEST) if thing["kind"] == "Ingress"]
    annotations = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert annotations["proxy-buffering"] == "off"
    assert int(annotations["proxy-read-timeout"]) >= 3600


def test_notes_say_what_is_still_missing(helm: Helm) -> None:
    assert "Nobody can start runs yet" in helm.notes(SMALLEST)
    assert "Nobody can start runs yet" not in helm.notes(LARGEST)


def test_the_papers_examples_are_values_and_metrics_that_there_are(helm: Helm) -> None:
    paper = (ROOT / "docs" / "kubernetes.md").read_text()
    values, annotations, adapter = map(
        yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```", paper, re.DOTALL | re.MULTILINE)
    )
    assert len(helm.template(values)) > 10
    assert yaml.safe_load((CHART / "values.yaml").read_text())["ingress"]["annotations"] == annotations
    source = (ROOT / "gateway" / "metrics.py").read_text()
    for rule in (*adapter["rules"], *adapter["externalRules"]):
        assert f'"{rule["seriesQuery"].partition("{")[0]}"' in source


def test_every_value_has_a_schema(helm: Helm) -> None:
    text = (CHART / "values.schema.json").read_text()
    assert '"additionalProperties": false' in text
    for name in re.findall(r"^ *([A-Za-z]+):", (CHART / "values.yaml").read_text(), re.MULTILINE):
        assert f'"{name}"' in text or name in {"requests", "limits", "cpu", "memory"}, name
