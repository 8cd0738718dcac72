"""Synthetic tumors in CT: from sources to a report.

Needs   a configuration: config.yaml, overlaid by `--configfile studies/<study>.yaml`
Gives   results/<study>/, below it one folder per stage, and report.html
Steps   download → preprocessing → synthesizer → synthesis → recognition → evaluation → figures
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


report: "docs/reporting/workflow.rst"


include: "rules/common.smk"
include: "rules/download.smk"
include: "rules/organ_labels.smk"
include: "rules/preprocessing.smk"
include: "rules/contact_sheets.smk"
include: "rules/synthesizer.smk"
include: "rules/synthesis.smk"
include: "rules/recognition.smk"
include: "rules/evaluation.smk"
include: "rules/sheets.smk"
include: "rules/figures.smk"
include: "rules/figures_scores.smk"
include: "rules/figures_classification.smk"
include: "rules/realism.smk"
include: "rules/reading.smk"
include: "rules/reporting.smk"


# Not while parsing: a dry run, and a second run that waits for the lock, leave the settings of the results alone.
onstart:
    study_settings.save(STUDY, CONFIG)
    runs.record_driver(STUDY.study)
    pins.warn_of_other_versions()


onsuccess:
    from freetumor.figures.finish import finish_study  # heavy, and every job of a cluster parses this file

    finish_study(STUDY, Path(CONFIG).parent.parent)


wildcard_constraints:
    study=STUDY.study,
    source=one_of(source.name for source in STUDY.sources),
    preset=one_of(STUDY.presets),
    synthesizer=one_of(STUDY.synthesizers),
    arm=one_of(STUDY.arms),
    fold=r"\d+",
    seed=r"\d+",
    shard=r"\d+",


localrules:
    all,
    download,
    preprocess,
    contact_sheets,
    synthesizer,
    synthesis,
    recognition,
    evaluation,
    figures,
    report,
    export,


rule all:
    default_target: True
    input:
        REPORT,
        BANKS,
        CHECKSUMS,


rule download:
    input:
        RAW_CASES,


rule preprocess:
    input:
        FOLD_TABLES,


rule contact_sheets:
    input:
        CONTACT_SHEETS,


rule synthesizer:
    input:
        SYNTHESIZER_WEIGHTS,


rule synthesis:
    input:
        BANKS,


rule recognition:
    input:
        PREDICTIONS,


rule evaluation:
    input:
        SUMMARY,
        DETECTION,
        CALIBRATION,
        CLASSIFICATION,
        REALISM,
        DISTRIBUTIONS,
        PRIVACY,
        CLAIMED,


rule figures:
    input:
        FIGURES,


rule report:
    input:
        REPORT,


rule export:
    input:
        EXPORTS,
