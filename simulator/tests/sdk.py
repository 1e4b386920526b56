"""The vendor's own Python SDK against the simulator: lists desktops, deletes a batch, reads the job.

    python3 -m venv sdk && sdk/bin/pip install huaweicloudsdkworkspace==3.1.219
    cargo build -p workspace-simulator
    sdk/bin/python simulator/tests/sdk.py target/debug/workspace-simulator

It starts the simulator with the example world, and ends with an error as soon as something is not as expected.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkworkspace.v2 import (
    BatchDeleteDesktopsRequest,
    DeleteDesktopsReq,
    ListDesktopsDetailRequest,
    ListDesktopsRequest,
    ListItaSubJobsRequest,
    ShowDesktopDetailRequest,
    ShowJobRequest,
    WorkspaceClient,
)

ANNA = "1d81c1dc-312b-4621-b778-bac3a1336442"
BEN = "34e25501-fd50-42b5-97ca-f4c5bb7b09b0"
CARLA = "4a2b7c1e-0d53-4e0e-9d0f-6f2f6a1c9e11"


def client(ready, credentials):
    """A client of the simulator; without a project id the SDK asks IAM for the project of the region."""
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = ready["ca"]
    return (
        WorkspaceClient.new_builder()
        .with_http_config(config)
        .with_credentials(credentials.with_iam_endpoint(ready["iam"]))
        .with_region(Region("ap-southeast-1", ready["workspace"]))
        .build()
    )


def refusal(call):
    """The refusal that a call must end with."""
    try:
        call()
    except ClientRequestException as error:
        return error
    raise SystemExit("the call was not refused")


def expect(what, actual, expected):
    if actual != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {actual!r}")
    print(f"{what}: {actual}")


def rehearse(ready):
    workspace = client(ready, BasicCredentials("AKEXAMPLE00000000000", "SKEXAMPLE-not-a-real-secret-key-0000000000"))

    listed = workspace.list_desktops(ListDesktopsRequest())
    expect("desktops listed", (listed.total_count, len(listed.desktops)), (6, 6))
    listed = workspace.list_desktops_detail(ListDesktopsDetailRequest(desktop_id=[ANNA, BEN]))
    expect("names by two ids", [desktop.computer_name for desktop in listed.desktops], ["desktop-anna", "desktop-ben"])
    ben = listed.desktops[1]
    expect("session and billing", (ben.login_status, ben.is_freeze, ben.product.charge_mode), ("REGISTERED", False, "1"))
    ben = workspace.list_desktops(ListDesktopsRequest(desktop_id=[BEN])).desktops[0]
    expect("whose it is", (ben.user_name, ben.attach_user_infos[0].user_name), ("ben", "ben"))
    expect("what else", (ben.created, ben.in_maintenance_mode, ben.tags[0].key), ("2026-01-05 08:00:00", False, "team"))

    body = DeleteDesktopsReq(desktop_ids=[ANNA, BEN, CARLA], delete_users=False, email_notification=False)
    job = workspace.batch_delete_desktops(BatchDeleteDesktopsRequest(body=body)).job_id
    print(f"job of the batch: {job}")
    shown = workspace.show_desktop_detail(ShowDesktopDetailRequest(desktop_id=ANNA)).desktop
    expect("task of a desktop in deletion", shown.task_status, "deleting")

    deadline = time.monotonic() + 60
    while True:
        parent = refused_or(lambda: workspace.show_job(ShowJobRequest(job_id=job)))
        if parent is not None and parent.status not in ("WAITING", "RUNNING"):
            break
        if time.monotonic() > deadline:
            raise SystemExit("the job did not end within a minute")
        time.sleep(0.2)
    expect("status of the job", parent.status, "FAIL")
    outcomes = {sub_job.entities.desktop_name: sub_job.status for sub_job in parent.sub_jobs}
    expect("outcomes", outcomes, {"desktop-anna": "SUCCESS", "desktop-ben": "SUCCESS", "desktop-carla": "FAILED"})

    request = ListItaSubJobsRequest(job_type="deleteDesktops", status=["FAILED"])
    failed = workspace.list_ita_sub_jobs(request).jobs
    expect("reason of the failure", failed[0].fail_reason, "the port of the desktop could not be removed")
    gone = refusal(lambda: workspace.show_desktop_detail(ShowDesktopDetailRequest(desktop_id=ANNA)))
    expect("a deleted desktop reads", gone.status_code, 404)

    wrong = client(ready, BasicCredentials("AKEXAMPLE00000000000", "wrong", "00000000000000000000000example01"))
    refused = refusal(lambda: wrong.list_desktops(ListDesktopsRequest()))
    expect("a wrong secret", (refused.status_code, refused.error_code), (401, "APIGW.0301"))
    temporary = BasicCredentials("AKTEMPORARY000000000", "SKTEMPORARY-not-a-real-secret-key-00000000")
    temporary = client(ready, temporary.with_security_token("example-security-token"))
    expect("desktops with a temporary key", temporary.list_desktops(ListDesktopsRequest()).total_count, 4)


def refused_or(call):
    """The answer of a call, or none while the job does not show yet."""
    try:
        return call()
    except ClientRequestException as error:
        if error.status_code != 404:
            raise
        return None


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/debug/workspace-simulator"
    world = pathlib.Path(__file__).parent.parent / "example-world.yaml"
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--world", world, "--ca-out", f"{folder}/ca.pem", "--ledger", f"{folder}/ledger.jsonl"]
        simulator = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            rehearse(json.loads(simulator.stdout.readline()))
            ledger = [json.loads(line) for line in open(f"{folder}/ledger.jsonl", encoding="utf-8")]
            posts = [entry for entry in ledger if entry["operation"] == "batchDelete"]
            expect("batch deletions in the ledger", [entry["status"] for entry in posts], [202])
        finally:
            simulator.terminate()
            simulator.wait(10)
    print("all as expected")


if __name__ == "__main__":
    main()
