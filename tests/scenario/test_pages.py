"""What calque prints for other readers: the manual, and what shells complete. Both say what --help says."""

import re
import shutil
import subprocess

import pytest

from harness import LIMIT
from test_cli import Done


def verbs():
    return re.findall(r"^  (\w+) ", Done("--help").out, re.M)


def options(verb):
    return re.findall(r"^  (?:-\w, )?(--[\w-]+)", Done(verb, "--help").out, re.M)


def run(command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    return done


def completed(words):
    """What bash has for the last of these words."""
    script = "\n".join([Done("--print-bash").out, f"COMP_WORDS=(calque {' '.join(words)})",
                        f"COMP_CWORD={len(words)}", "_calque", 'printf "%s\\n" "${COMPREPLY[@]}"'])
    return run(["bash", "-c", script]).stdout.split()


def test_the_manual_has_every_verb_and_option():
    page = Done("--print-man").out
    shown = run(["groff", "-man", "-Tascii", "-ww", "-P-cbou"], page)
    assert shown.stderr == ""
    text = re.sub(r"\s+", " ", shown.stdout)
    for verb in verbs():
        assert f" calque {verb} [OPTION...]" in text
        for option in options(verb) if verb != "bench" else []:
            assert option in text
    assert "links.south.url" in text and "/etc/calque/calque.conf" in text and "3 storage failed" in text


def test_bash_completes_verbs_options_words_and_files(tmp_path):
    assert completed(["s"]) == ["status", "state"]
    assert completed(["deadletters", "re"]) == ["retry"]
    assert completed(["status", "--re"]) == ["--ready"]
    assert sorted(completed(["run", "--"])) == sorted([*options("run"), "--help"])
    (tmp_path / "plant.conf").write_text("")
    assert completed(["run", "-c", f"{tmp_path}/pl"]) == [f"{tmp_path}/plant.conf"]
    assert completed(["deadletters", "list", "--reason", ""]) == []


def test_zsh_can_read_its_completion(tmp_path):
    page = Done("--print-zsh").out
    for verb in verbs():
        assert f"\t'{verb}:" in page and f"\n{verb})\n" in page
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    (tmp_path / "_calque").write_text(page)
    run(["zsh", "-f", "-n", str(tmp_path / "_calque")])
    # _describe and _arguments tell what they were given.
    script = ("_describe() { print verbs $#verbs }\n_arguments() { print -l -- $@ }\n"
              f"words=(calque '')\nCURRENT=2\nf() {{ {page}\n}}\nf\nwords=(calque deadletters '')\nCURRENT=3\nf\n")
    told = run(["zsh", "-f", "-c", script]).stdout
    assert f"verbs {len(verbs())}\n" in told
    assert "*:argument:(list show retry drop)\n" in told
    assert "--limit[only the N newest of them]:N:\n" in told
