"""Our Hub server speaks the language of huggingface_hub: its own client, unmodified, does with it what it does with the Hub."""

from __future__ import annotations

import json

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from tests.hub.circle import NAMESPACES, TOKEN, copy_artifact

CLIENT = """
import inspect, json, sys
from huggingface_hub import HfApi, ModelCard
api, repo, folder = HfApi(), *sys.argv[1:]
refused = None
if "https://huggingface.co/api" not in inspect.getsource(ModelCard.validate):
    ModelCard.load(folder + "/README.md").validate()
    refused = ""
    try:
        ModelCard("---\\nlicense: free for friends\\n---\\n").validate()
    except ValueError as err:
        refused = str(err)
api.create_repo(repo, private=True)
api.create_repo(repo, exist_ok=True)
commit = api.upload_folder(repo_id=repo, folder_path=folder).oid
api.create_tag(repo, tag="v1")
refs = api.list_repo_refs(repo)
print(json.dumps({
    "user": api.whoami()["name"], "refused": refused, "commit": commit, "files": api.list_repo_files(repo, revision="v1"),
    "main": refs.branches[0].target_commit, "tag": [refs.tags[0].name, refs.tags[0].target_commit], "private": api.model_info(repo).private,
}))
"""


def test_the_unmodified_client_finds_its_way_around_the_server(client, tmp_path):
    client.hub.writers[TOKEN] = NAMESPACES
    run = client.python("-c", CLIENT, "gardener/other", str(copy_artifact(tmp_path / "artifact")), HF_TOKEN=TOKEN)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["user"] == "gardener"
    if said["refused"] is not None:  # version 0 asks the Hub itself, whatever HF_ENDPOINT says
        assert "must be one of the Hub's licence ids" in said["refused"]
    assert said["commit"] == said["main"] == client.hub.repositories["gardener/other"].commit
    assert said["tag"] == ["v1", said["commit"]]
    assert said["private"] is True
    assert set(said["files"]) == {".gitattributes", MANIFEST_FILE, *ARTIFACT_FILES}
