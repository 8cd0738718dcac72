"""What the rules share: the checked study, lists of results, and small functions of a study's settings.

Functions live here alone; the other files are declarative. Nothing heavy is imported: every cluster job parses this file.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(workflow.basedir, "scripts"))

from freetumor.core import code, needs, pins, runs, settings as study_settings
from freetumor.core.errors import UserError, fail
from freetumor.download.sizes import study_of
from freetumor.download.sources import check_source, surroundings_of

# A shell command says `python`; without conda that is the Python that runs Snakemake, whose packages it compares with the lock.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]), FREETUMOR_DRIVER=sys.prefix)

try:
    for path in workflow.configfiles:  # read again strictly: keys given twice pass Snakemake in silence
        study_settings.read_yaml(path)
    STUDY = study_settings.validate(config, str((workflow.configfiles or ["config.yaml"])[0]))
    for entry in STUDY.sources:
        check_source(entry)
    CONFIG = f"results/{STUDY.study}/config.yaml"
    if workflow.remote_exec and not Path(CONFIG).exists():  # a machine that shares no files with the one that plans
        study_settings.save(STUDY, CONFIG)
except UserError as error:
    fail(str(error))

SIZES = study_of(STUDY)
VOLUMES = [f"results/volumes/{STUDY.preset}/{source.name}/volumes.parquet" for source in STUDY.sources]
RAW_CASES = [f"results/data/{source.name}/cases.csv" for source in STUDY.sources]
FOLD_TABLES = [f"results/{STUDY.study}/fold{fold}/cases.parquet" for fold in STUDY.folds]
SYNTHESIZER_WEIGHTS = expand(
    "results/{study}/fold{fold}/synthesizer/{name}/weights.safetensors",
    study=STUDY.study,
    fold=STUDY.folds,
    name=(["segmenter"] if STUDY.needs_segmenter else []) + STUDY.trainings_of_synthesizers,
)
BANKS = expand(
    "results/{study}/fold{fold}/synthesis/{name}/manifest.parquet", study=STUDY.study, fold=STUDY.folds, name=STUDY.banks
)
EXPORT_TABLES = {"nifti": "exports.csv", **{kind: f"{kind}/exports.csv" for kind in ("nnunet", "dicom", "monai")}}
EXPORTS = [
    f"results/{STUDY.study}/fold{fold}/export/{name}/{table}"
    for fold in STUDY.folds
    for name in STUDY.banks
    for table in (["deck.csv"] if STUDY.synthesizers[name].whole_image else map(EXPORT_TABLES.get, STUDY.synthesis.exports))
]
FIDELITY = [path.replace("manifest.parquet", "fidelity.csv") for path in BANKS]

TRAININGS = expand(
    "results/{study}/fold{fold}/recognition/{arm}/seed{seed}",
    study=STUDY.study,
    fold=STUDY.folds,
    arm=STUDY.recognition.arms,
    seed=STUDY.recognition.seeds,
)
RECOGNIZERS = [f"{folder}/weights.safetensors" for folder in TRAININGS]
EMBEDDED = [  # the baseline and the arm with most added data
    f"results/{STUDY.study}/fold{STUDY.folds[0]}/recognition/{arm}/seed{STUDY.recognition.seeds[0]}" for arm in STUDY.embedded
]
PREDICTIONS = [f"{folder}/predictions.parquet" for folder in TRAININGS]
SCORES = [f"{folder}/scores.parquet" for folder in TRAININGS]
LESIONS = [f"{folder}/lesions.parquet" for folder in TRAININGS]
CANDIDATES = [f"{folder}/candidates.parquet" for folder in TRAININGS]
RELIABILITY = [f"{folder}/reliability.parquet" for folder in TRAININGS]
HISTORIES = [path.replace("weights.safetensors", "history.csv") for path in SYNTHESIZER_WEIGHTS] + [
    f"{folder}/history.csv" for folder in TRAININGS
]
CLAIMS = [f"studies/claims/{STUDY.evaluation.claims}"] if STUDY.evaluation.claims else []
SUMMARY = f"results/{STUDY.study}/evaluation/summary.csv"
FIGURES = expand("results/{study}/figures/{name}.png", study=STUDY.study, name=STUDY.figures)
CONTACT_SHEETS = [f"results/{STUDY.study}/figures/contact_sheets/{source.name}.png" for source in STUDY.sources]
REPORT = f"results/{STUDY.study}/report.html"
CHECKSUMS = f"results/{STUDY.study}/checksums.json"
CLASSIFICATION = [SUMMARY.replace("summary", "classification")] if STUDY.task == "classification" else []
REALISM = [SUMMARY.replace("summary", "realism")] if "realism" in STUDY.figures else []
DISTRIBUTIONS, PRIVACY = ([path.replace("realism", name) for path in REALISM] for name in ("distributions", "privacy"))
ENCODER = [  # the network that describes lesions, if the study asks for one
    (
        f"results/{STUDY.study}/fold{STUDY.folds[0]}/synthesizer/segmenter/weights.safetensors"
        if wanted.network is None
        else wanted.weights
    )
    for wanted in [STUDY.evaluation.feature_network]
    if wanted is not None
]
DETECTION = [SUMMARY.replace("summary", name) for name in ("froc", "patients")] if STUDY.task == "segmentation" else []
CALIBRATION = [SUMMARY.replace("summary", "calibration")]
CLAIMED = [SUMMARY.replace("summary", "claims")] if CLAIMS else []
CARDS = (["segmenter"] if STUDY.needs_segmenter else []) + [
    *(f"synthesizer_{name}" for name in STUDY.trainings_of_synthesizers),
    *(f"recognizer_{arm}" for arm in STUDY.recognition.arms),
]


def drawing(name, group):
    """Outputs of a plot: PNG, PDF, the numbers drawn, and the caption, which Snakemake's own report shows beside the PNG."""
    files = multiext(f"results/{{study}}/figures/{name}", png=".png", pdf=".pdf", csv=".csv", md=".md")
    words = f"../results/{STUDY.study}/figures/{name}.md"
    shown = report(files[0], caption=words, category="Figures", subcategory=group, labels={"figure": name.replace("_", " ")})
    return [shown, *files[1:]]


def sheet_of_source():
    """Outputs of a contact sheet, like those of `drawing`, per source."""
    files = multiext("results/{study}/figures/contact_sheets/{source}", png=".png", pdf=".pdf", csv=".csv", md=".md")
    words = "../docs/reporting/captions/contact_sheet.rst"
    shown = report(files[0], caption=words, category="Contact sheets", labels={"source": "{source}"})
    return [shown, *files[1:]]


def tabled(path, name, note):
    """An output that Snakemake's own report shows as a table, with the caption `docs/reporting/captions/<note>.rst`."""
    return report(path, caption=f"../docs/reporting/captions/{note}.rst", category="Tables", labels={"table": name})


def one_of(names):
    """A wildcard constraint that admits the given names only."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


def code_hash(script):
    """Content hash of a script and the library modules it uses: editing them reruns the rule, touching them does not."""
    return code.code_hash(os.path.join(workflow.basedir, "scripts", script))


def settings(*keys):
    """Hash of the named parts of the study: changing them reruns the rule, changing others does not."""

    def value(key):
        part = STUDY.model_dump(mode="json")
        for name in key.split("."):
            part = part[name]
        return part

    text = json.dumps([value(key) for key in keys], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def named_settings(table, *keys):
    """A function of the wildcards: like `settings`, with the entry of `table` that the rule's wildcard names."""
    wildcard = table.removesuffix("s")

    def hashed(wildcards):
        name = wildcards[wildcard]
        parts = [f"{table}.{name}", *keys]
        if table == "arms" and STUDY.arms[name].synthesizer:
            parts.append(f"synthesizers.{STUDY.arms[name].synthesizer}")
        return settings(*parts)

    return hashed


def source_settings(wildcards):
    """Hash of the settings of a source, and of what else decides on its cases: folders that variables stand for, the catalog."""
    source = STUDY.source(wildcards.source)
    root = os.getenv("FREETUMOR_REAL_DATA", "") if "FREETUMOR_REAL_DATA" in getattr(source, "root", "") else ""
    return hashlib.sha256((source.model_dump_json() + root + surroundings_of(source)).encode()).hexdigest()[:12]


def gpus(most=STUDY.compute.gpus_per_job):
    """GPUs of a job: none if the study runs on the CPU or this machine shows no GPU."""
    wanted = STUDY.compute.device == "cuda" or (STUDY.compute.device == "auto" and shutil.which("nvidia-smi") is not None)
    return most if wanted else 0


def organ_gpus(wildcards):
    """GPUs of a job that labels organs, if the program of the source uses one."""
    return gpus(1) if STUDY.source(wildcards.source).organ_labels.gpu else 0


def training_threads():
    """Cores of a training on one machine: of each of its processes, and of the workers that feed it with patches."""
    compute = STUDY.compute
    workers = compute.loader_workers if STUDY.task == "segmentation" else 0
    processes = 1 if compute.device == "cpu" else compute.gpus_per_job
    return processes * (compute.torch_threads + workers)


def memory(wanted):
    """Memory of a job in MB, doubled with each further attempt: so much, or what a kind of job needs (`core.needs`)."""
    return lambda wildcards, attempt: _wanted(wanted, "memory_mb", wildcards) * 2 ** (attempt - 1)


def minutes(wanted):
    """Time limit of a job in minutes, doubled with each further attempt: so many, or what a kind of job needs."""
    return lambda wildcards, attempt: _wanted(wanted, "minutes", wildcards) * 2 ** (attempt - 1)


def _wanted(wanted, part, wildcards):
    """A number as it is; of a kind of job, what a job with these wildcards needs by the scans that are known by now."""
    return wanted if isinstance(wanted, int) else getattr(needs.need_of(wanted, SIZES, dict(wildcards.items())), part)


def download_minutes(wildcards):
    """Time limit of a download in minutes: three days for what comes from the network, and is continued if that is too short."""
    return 4320 if STUDY.source(wildcards.source).kind == "public" else 60


def launch(training=False):
    """How a script is started that can use GPUs; the same text on every machine, so that no other machine reruns it."""
    compute = STUDY.compute
    machines = "srun " if training and compute.nodes_per_job > 1 else ""
    if compute.device == "cpu" and not machines:
        return "python"
    count = 0 if compute.device == "cpu" else compute.gpus_per_job if training else 1
    return f"{machines}python scripts/launch.py --gpus {count}"


def flags(**paths):
    """Command-line flags for the inputs that are there."""
    return " ".join(f"--{name} {shlex.quote(str(path))}" for name, path in paths.items() if path)


def volume_shards(name):
    """A function of the wildcards: the shard files of a source."""

    def paths(wildcards):
        count = STUDY.source(wildcards.source).shards
        return [f"results/volumes/{wildcards.preset}/{wildcards.source}/shards/{shard}.{name}" for shard in range(count)]

    return paths


def organ_labels(wildcards):
    """The organ labels of a shard, if the source has a program that makes them."""
    wanted = getattr(STUDY.source(wildcards.source), "organ_labels", None)
    return [f"results/data/{wildcards.source}/organ_labels/{wildcards.shard}.csv"] if wanted else []


def painting_inputs(synthesizer, folder):
    """The trained networks that a synthesizer needs when it paints."""
    parts = STUDY.synthesizers[synthesizer]
    needed = {}
    if parts.trained:
        needed["generator"] = f"{folder}/synthesizer/{STUDY.weights_of(synthesizer)}/weights.safetensors"
    if parts.judged:
        needed["segmenter"] = f"{folder}/synthesizer/segmenter/weights.safetensors"
    return needed


def synthesis_inputs(wildcards):
    """Fold table and networks of a shard of synthesis."""
    folder = f"results/{wildcards.study}/fold{wildcards.fold}"
    return {"cases": f"{folder}/cases.parquet", **painting_inputs(wildcards.synthesizer, folder)}


def training_inputs(wildcards):
    """Fold table of a synthesizer's training, and the segmenter if it is trained against it."""
    folder = f"results/{wildcards.study}/fold{wildcards.fold}"
    needed = {"cases": f"{folder}/cases.parquet"}
    if STUDY.synthesizers[wildcards.synthesizer].taught:
        needed["segmenter"] = f"{folder}/synthesizer/segmenter/weights.safetensors"
    return needed


def arm_inputs(wildcards):
    """Fold table, and what the arm paints with: networks online, or the bank."""
    folder = f"results/{wildcards.study}/fold{wildcards.fold}"
    arm = STUDY.arms[wildcards.arm]
    needed = {"cases": f"{folder}/cases.parquet"}
    if arm.synthesizer and arm.lesions == "bank":
        needed["bank"] = f"{folder}/synthesis/{arm.synthesizer}/manifest.parquet"
    elif arm.synthesizer:
        needed |= painting_inputs(arm.synthesizer, folder)
    return needed


def optional_flags(wildcards, input):
    """Flags of the inputs beside the fold table."""
    return flags(**{name: path for name, path in input.items() if name != "cases"})
