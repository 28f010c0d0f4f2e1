"""The helpers of the benchmarks: no installation, no index."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import common, footprint, installations, ways
from benchmarks.footprint import IMPORTS, OURS, PEER, RESULTS

SAMPLES = {"import_s": [0.2, 0.1, 0.9], "import_all_s": [0.5], "first_verdict_s": [0.75, 0.25], "peak_bytes": [1.5e8]}
PEER_SAMPLES = {"import_s": [2.0], "import_all_s": [1.0], "first_verdict_s": [2.0], "peak_bytes": [6e8]}


@pytest.fixture
def results():
    """Small results of a run that never was."""
    own = {"alknet-firewall": 50_000_000, "numpy": 20_000_000, "scikit-learn": 10_000_000, "scipy": 20_000_000}
    peer = {"torch": 190_000_000, "transformers": 10_000_000}
    return {
        "environment": {
            "date": "2026-01-02T03:04:05+00:00",
            "commit": "0123456789abcdef0123456789abcdef01234567+changes",
            "system": "Linux x86_64",
            "processor": "Some CPU, avx2",
            "cores": 4,
            "threads": 2,
            "python": "3.11.7",
            "versions": {},
        },
        "rounds": 3,
        "optional": ["scikit-learn", "scipy"],
        "contenders": {
            OURS: {
                "versions": {OURS: "1.2.3"},
                "download_bytes": own,
                "disk_bytes": own,
                "model_bytes": 45_000_000,
                "samples": SAMPLES,
            },
            PEER: {
                "versions": {"torch": "2.13.0", "transformers": "4.57.6"},
                "download_bytes": peer,
                "disk_bytes": peer,
                "model_bytes": 90_000_000,
                "samples": PEER_SAMPLES,
            },
        },
    }


def add_distribution(site, name, requires=(), files=(("module.py", 100),), direct_url=None):
    """Write an installed distribution's files and metadata, as pip would."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path, size in files:
        (site / path).write_bytes(b"x" * size)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path, _ in files) + "gone.py,,\n", encoding="utf-8")
    if direct_url:
        (info / "direct_url.json").write_text(json.dumps(direct_url), encoding="utf-8")


def test_table_gives_medians_and_ratios(results):
    lines = footprint.table(results).splitlines()
    cells = {
        line.split(" | ")[0].strip("| "): [cell.strip(" |") for cell in line.split(" | ")[1:]] for line in lines if line.startswith("|")
    }
    assert cells["import, the line a program writes"] == ["200 ms", "2.00 s", "10.0 x"]
    assert cells["import, all that a scan needs"] == ["500 ms", "1.00 s", "2.0 x"]
    assert cells["process start to first verdict"] == ["500 ms", "2.00 s", "4.0 x"]
    assert cells["peak memory"] == ["150 MB", "600 MB", "4.0 x"]
    assert cells["download (wheels), model included"] == ["100 MB", "200 MB, no model", "2.0 x"]
    assert cells["the same without scikit-learn"] == ["70 MB", "200 MB, no model", "2.9 x"]
    assert cells["disk, model included"] == ["100 MB", "200 MB, no model", "2.0 x"]
    assert cells["model alone"] == ["45 MB", "90 MB", "2.0 x"]


def test_table_says_what_was_compared_and_how(results):
    text = footprint.table(results)
    assert text.startswith("|  | alknet-firewall 1.2.3 | transformers[torch] 4.57.6, torch 2.13.0 | ratio |\n")
    for fact in (
        "Medians of 3 runs",
        "2 threads",
        "Some CPU",
        "Python 3.11.7",
        "2026-01-02",
        "commit 0123456789ab+changes",
        "without scipy.",
    ):
        assert fact in text


def test_table_has_no_download_size_for_what_was_installed_before(results):
    results["contenders"][OURS]["download_bytes"] = None
    assert "| download (wheels) | - | 200 MB, no model | - |" in footprint.table(results)


def test_markdown_option_prints_the_last_results_without_measuring(results, tmp_path):
    path = tmp_path / "new" / "results.json"
    common.write_results(path, results)
    done = CliRunner().invoke(footprint.main, ["--markdown", "--out", str(path)])
    assert done.exit_code == 0
    assert done.output == footprint.table(results) + "\n"


def test_committed_results_have_every_sample_and_can_be_shown():
    results = common.read_results(RESULTS)
    for contender in results["contenders"].values():
        assert {len(values) for values in contender["samples"].values()} == {results["rounds"]}
    assert footprint.table(results).count("\n| ") == 10


def test_collect_refuses_a_run_without_a_verdict():
    good, bad = (common.Sample(0.1, 0.2, 10, output) for output in ('{"score": 0.5}', '{"error": "none"}'))
    timing = common.Sample(0.1, 0.2, 10, "0.25\n")
    assert footprint.collect([good], [timing], [timing]) == {
        "import_s": [0.25],
        "import_all_s": [0.25],
        "first_verdict_s": [0.1],
        "peak_bytes": [10.0],
    }
    with pytest.raises(KeyError):
        footprint.collect([good, bad], [timing], [timing])


def test_measured_import_loads_every_package_that_a_scan_does():
    def packages(script):
        report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
        output = common.run_fresh([sys.executable, "-c", f"{script}\n{report}"]).output
        return {name for name in output.split() if not name.startswith("_")}

    scanned = packages("from alknet_firewall import Firewall\nFirewall.from_pretrained().scan('Is it going to rain tomorrow?')")
    assert scanned - packages(IMPORTS[OURS]["import_all_s"]) == set()


def test_timed_import_prints_seconds():
    sample = common.run_fresh(footprint.timed_import(sys.executable, "import time\ntime.sleep(0.05)"))
    assert 0.05 <= float(sample.output) < sample.wall_s


def test_run_fresh_times_the_first_line_before_the_end():
    script = "import time; print('first', flush=True); time.sleep(0.5); print('last')"
    sample = common.run_fresh([sys.executable, "-c", script])
    assert sample.output == "first\nlast\n"
    assert sample.first_line_s < sample.wall_s - 0.4


def test_run_fresh_sees_the_memory_of_the_process_it_ran():
    """A child counts at least what its parent held when it began (getrusage(2) after exec), and pytest holds more with every test."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * common.MAXRSS_UNIT
    size = held + 200_000_000
    small, large = (common.run_fresh([sys.executable, "-c", f"data = b'x' * {own}"]).peak_bytes for own in (1, size))
    assert large - small > 150_000_000
    assert large < size + 100_000_000


def test_run_fresh_fails_with_what_the_process_said():
    command = [sys.executable, "-c", "import sys; sys.exit('it is broken')"]
    with pytest.raises(RuntimeError, match="exited with 1: it is broken"):
        common.run_fresh(command)
    common.run_fresh(command, codes=(0, 1))


def test_run_fresh_gives_the_environment_it_was_told():
    assert common.run_fresh([sys.executable, "-c", "import os; print(os.environ['NAME'])"], {"NAME": "value"}).output == "value\n"


def test_pinned_sets_every_thread_pool_and_drops_settings_of_the_caller(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("ALKNET_FIREWALL_SCAN_FORMAT", "json")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    env = common.pinned(3)
    assert {env[name] for name in common.THREAD_VARIABLES} == {"3"}
    assert "ALKNET_FIREWALL_THREADS" in common.THREAD_VARIABLES
    assert not {"PYTHONPATH", "ALKNET_FIREWALL_SCAN_FORMAT"} & set(env)
    assert "PATH" in env


def test_interleave_warms_up_and_turns_the_order_around():
    calls = []
    results = common.interleave(2, {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"})
    assert "".join(calls) == "ab" + "ab" + "ba"
    assert results == {"a": [3, 6], "b": [4, 5]}


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (common.human_bytes, (61_700_000,), "62 MB"),
        (common.human_bytes, (9_940_000,), "9.9 MB"),
        (common.human_bytes, (1_086_000_000,), "1086 MB"),
        (common.human_seconds, (0.0456,), "46 ms"),
        (common.human_seconds, (1.204,), "1.20 s"),
        (common.human_ratio, (2.0, 5.0), "2.5 x"),
        (common.human_ratio, (0, 5.0), "-"),
    ],
)
def test_numbers_for_people(function, arguments, text):
    assert function(*arguments) == text


def test_markdown_table_aligns_numbers_to_the_right():
    assert common.markdown_table(["name", "a"], [["x", "1"], ["y", "2"]]) == "| name | a |\n| --- | ---: |\n| x | 1 |\n| y | 2 |"


def test_environment_names_circumstances_but_no_place():
    made = common.environment(3, ("numpy", "no-such-package"))
    assert made["threads"] == 3
    assert list(made["versions"]) == ["numpy"]
    assert made["cores"] >= 1
    assert str(common.ROOT) not in json.dumps(made)


def test_environment_takes_the_threads_of_a_scan_by_default(monkeypatch):
    monkeypatch.setenv("ALKNET_FIREWALL_THREADS", "5")
    assert common.environment()["threads"] == 5


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("model name\t: Fast CPU\nflags\t: fpu avx2 avx512_vnni\n", "Fast CPU, avx2, avx512_vnni"),
        ("processor\t: 0\nFeatures\t: fp asimddp\n", None),
    ],
)
def test_processor_is_read_from_cpuinfo(tmp_path, content, name):
    path = tmp_path / "cpuinfo"
    path.write_text(content, encoding="utf-8")
    assert common.processor(path) == name if name else common.processor(path).endswith(", asimddp")


def test_processor_has_a_name_where_there_is_no_cpuinfo(tmp_path):
    assert common.processor(tmp_path / "none")


def test_git_commit_says_whether_the_tree_was_changed(tmp_path):
    assert common.git_commit(tmp_path) is None

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("one", encoding="utf-8")
    git("add", "file")
    git("commit", "-m", "one")
    clean = common.git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two", encoding="utf-8")
    assert common.git_commit(tmp_path) == f"{clean}+changes"


def test_report_sizes_reads_the_files_that_pip_installed(tmp_path):
    wheel = tmp_path / "Some_Thing-1.0+cpu-py3-none-any.whl"
    wheel.write_bytes(b"x" * 123)
    url = wheel.as_uri()
    assert "%2B" in url
    report = {"install": [{"metadata": {"name": "Some_Thing"}, "download_info": {"url": url}}]}
    assert installations.report_sizes(report) == {"some-thing": 123}


def test_index_arguments_are_those_from_the_option_on():
    assert installations.index_arguments(["torch", "--index-url", "https://example.org"]) == ["--index-url", "https://example.org"]
    assert installations.index_arguments(["torch"]) == []


def test_installed_bytes_counts_recorded_files_that_are_there(tmp_path):
    add_distribution(tmp_path, "Some.Thing", files=(("a.py", 100), ("b.so", 2000)))
    (found,) = installations.distributions(tmp_path).items()
    assert found[0] == "some-thing"
    assert installations.installed_bytes(found[1]) == 2100


def test_requirement_graph_leaves_out_extras_and_what_is_absent(tmp_path):
    add_distribution(tmp_path, "root", ['Leaf.One>=1; python_version >= "3"', 'other; extra == "more"', "absent (>2)"])
    add_distribution(tmp_path, "leaf-one", ["other[x]~=1.0"])
    add_distribution(tmp_path, "other")
    assert installations.requirement_graph(tmp_path) == {"root": {"leaf-one"}, "leaf-one": {"other"}, "other": set()}


def test_exclusive_is_what_nothing_else_needs():
    graph = {"root": {"a", "b"}, "a": {"shared", "own", "a"}, "b": {"shared"}, "shared": set(), "own": {"deep"}, "deep": set()}
    assert installations.exclusive(graph, "a", "root") == {"a", "own", "deep"}


def test_an_editable_installation_is_told_apart(tmp_path):
    add_distribution(tmp_path / "plain", OURS)
    add_distribution(tmp_path / "tree", OURS, direct_url={"url": "file:///somewhere", "dir_info": {"editable": True}})
    assert not installations.is_editable(tmp_path / "plain")
    assert installations.is_editable(tmp_path / "tree")
    with pytest.raises(click.UsageError, match="not installed"):
        installations.is_editable(tmp_path)


def test_ways_install_torch_before_the_extra_and_a_data_wheel_only_when_there_is_one():
    wheel, torch = Path("ours.whl"), ways.torch_step("https://torch.example/cpu")
    steps = ways.ways(wheel, torch, None)
    assert steps["alknet-firewall"] == [["ours.whl"]]
    assert steps["alknet-firewall[torch], with torch for CPU"] == [
        [ways.TORCH, "--index-url", "https://torch.example/cpu"],
        [ways.TORCH, "ours.whl[torch]"],
    ]
    assert ways.ways(wheel, torch, Path("data.whl")).keys() - steps.keys() == {"alknet-firewall and a data wheel"}


def test_table_of_ways_gives_sizes_and_how_they_were_measured(results, tmp_path):
    sizes = {"alknet-firewall": {"packages": 20, "download_bytes": 149_000_000, "disk_bytes": 446_000_000}}
    path = tmp_path / "ways.json"
    common.write_results(path, {"environment": results["environment"], "sizes": sizes})
    done = CliRunner().invoke(footprint.main, ["--ways", "--markdown", "--out", str(path)])
    assert done.exit_code == 0
    assert "| `alknet-firewall` | 20 | 149 MB | 446 MB |" in done.output
    assert "Linux x86_64; Python 3.11.7; 2026-01-02." in done.output


def test_readme_has_the_measured_ways():
    shown = ways.ways_table(common.read_results(footprint.WAYS_RESULTS))
    assert f"<!-- ways -->\n{shown}\n<!-- /ways -->" in (footprint.ROOT / "README.md").read_text(encoding="utf-8"), (
        "Put in what this prints: python benchmarks/footprint.py --ways --markdown"
    )
