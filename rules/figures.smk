"""Draw every figure from its tables, and bind them into one page.

Needs   the tables of cases, histories and the evaluation with its sheets of pictures: no volumes, no weights, no torch
Gives   results/<study>/figures/<name>.{png,pdf,csv,md} and results/<study>/report.html
Steps   the plots that `Config.figures` names for the task → build_report
        (plot_canvases: on request, from volumes alone)
"""


rule plot_cohort:
    input:
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
        examples="results/{study}/evaluation/sheets/cohort.csv",
        pictures="results/{study}/evaluation/sheets/cohort.npz",
    output:
        drawing("cohort", "Cohort"),
    log:
        "results/{study}/logs/plot_cohort.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_cohort.py"),
        settings=settings("organs", "task", "categories", "preset", "presets"),
    message:
        "Drawing the cohort of {wildcards.study}"
    shell:
        """
        python scripts/plot_cohort.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --quarantine {input.quarantine:q} \
            --examples {input.examples:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_lesions:
    input:
        lesions="results/{study}/evaluation/sheets/lesions.csv",
        pictures="results/{study}/evaluation/sheets/lesions.npz",
    output:
        drawing("lesions", "Painting"),
    log:
        "results/{study}/logs/plot_lesions.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_lesions.py"),
        settings=settings("preset", "presets", "synthesis.synthesizers"),
    message:
        "Drawing real next to synthetic lesions of {wildcards.study}"
    shell:
        """
        python scripts/plot_lesions.py \
            --config {params.config:q} \
            --lesions {input.lesions:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_training:
    input:
        HISTORIES,
    output:
        drawing("training", "Training"),
    log:
        "results/{study}/logs/plot_training.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_training.py"),
    message:
        "Drawing the training curves of {wildcards.study}"
    shell:
        """
        python scripts/plot_training.py \
            --config {params.config:q} \
            --histories {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_differences:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
        summary="results/{study}/evaluation/summary.csv",
    output:
        drawing("differences", "Results"),
    log:
        "results/{study}/logs/plot_differences.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_differences.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the paired differences of {wildcards.study}"
    shell:
        """
        python scripts/plot_differences.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --summary {input.summary:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_sizes:
    input:
        "results/{study}/evaluation/sensitivity_by_size.csv",
    output:
        drawing("sizes", "Results"),
    log:
        "results/{study}/logs/plot_sizes.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_sizes.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the sensitivity by lesion size of {wildcards.study}"
    shell:
        """
        python scripts/plot_sizes.py \
            --config {params.config:q} \
            --sizes {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_gate:
    input:
        "results/{study}/evaluation/gate.csv",
    output:
        drawing("gate", "Painting"),
    log:
        "results/{study}/logs/plot_gate.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_gate.py"),
        settings=settings("synthesizers", "organs", "evaluation.confidence"),
    message:
        "Drawing what the gates of {wildcards.study} accept"
    shell:
        """
        python scripts/plot_gate.py \
            --config {params.config:q} \
            --table {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_samples:
    input:
        samples="results/{study}/evaluation/sheets/samples.csv",
        pictures="results/{study}/evaluation/sheets/samples.npz",
    output:
        drawing("samples", "Painting"),
    log:
        "results/{study}/logs/plot_samples.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_samples.py"),
        settings=settings("categories", "preset", "presets"),
    message:
        "Drawing real next to synthetic images of {wildcards.study}"
    shell:
        """
        python scripts/plot_samples.py \
            --config {params.config:q} \
            --samples {input.samples:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_fidelity:
    input:
        FIDELITY,
    output:
        drawing("fidelity", "Painting"),
    log:
        "results/{study}/logs/plot_fidelity.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_fidelity.py"),
        settings=settings("categories"),
    message:
        "Drawing how like real ones the synthetic images of {wildcards.study} are"
    shell:
        """
        python scripts/plot_fidelity.py \
            --config {params.config:q} \
            --tables {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_curves:
    input:
        curves="results/{study}/evaluation/curves.csv",
        selections="results/{study}/evaluation/selections.csv",
    output:
        drawing("curves", "Results"),
    log:
        "results/{study}/logs/plot_curves.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_curves.py"),
        settings=settings("evaluation", "recognition.arms", "arms"),
    message:
        "Drawing accuracy against the number of samples in {wildcards.study}"
    shell:
        """
        python scripts/plot_curves.py \
            --config {params.config:q} \
            --curves {input.curves:q} \
            --selections {input.selections:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_confusion:
    input:
        "results/{study}/evaluation/confusion.csv",
    output:
        drawing("confusion", "Results"),
    log:
        "results/{study}/logs/plot_confusion.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_confusion.py"),
        settings=settings("categories", "evaluation", "recognition.arms"),
    message:
        "Drawing the confusion matrices of {wildcards.study}"
    shell:
        """
        python scripts/plot_confusion.py \
            --config {params.config:q} \
            --confusion {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_embedding:
    input:
        "results/{study}/evaluation/embedding.csv",
    output:
        drawing("embedding", "Results"),
    log:
        "results/{study}/logs/plot_embedding.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_embedding.py"),
        settings=settings("categories", "recognition.arms"),
    message:
        "Drawing the last layer of the recognizers of {wildcards.study}"
    shell:
        """
        python scripts/plot_embedding.py \
            --config {params.config:q} \
            --points {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_canvases:
    input:
        VOLUMES,
    output:
        drawing("canvases", "Painting"),
    log:
        "results/{study}/logs/plot_canvases.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_canvases.py"),
        settings=settings("organs", "task", "categories", "preset", "presets", "seed", "synthesizers"),
    message:
        "Painting into the volumes of {wildcards.study} without training"
    shell:
        """
        python scripts/plot_canvases.py \
            --config {params.config:q} \
            --volumes {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_overview:
    input:
        cases="results/{study}/cases.parquet",
        scores="results/{study}/evaluation/cases.parquet",
    output:
        drawing("overview", "Cohort"),
    log:
        "results/{study}/logs/plot_overview.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_overview.py"),
        settings=settings(
            "task", "categories", "evaluation", "recognition", "segmenter.network", "synthesizers", "synthesis", "arms"
        ),
    message:
        "Drawing {wildcards.study} on one page"
    shell:
        """
        python scripts/plot_overview.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --scores {input.scores:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_flow:
    input:
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
    output:
        drawing("flow", "Cohort"),
    log:
        "results/{study}/logs/plot_flow.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_flow.py"),
        settings=settings("cohort"),
    message:
        "Drawing the participant flow of {wildcards.study}"
    shell:
        """
        python scripts/plot_flow.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --quarantine {input.quarantine:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_boxes:
    input:
        "results/{study}/evaluation/cases.parquet",
    output:
        drawing("boxes", "Results"),
    log:
        "results/{study}/logs/plot_boxes.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_boxes.py"),
        settings=settings("organs", "sources", "evaluation", "recognition.arms"),
    message:
        "Drawing the scores of single cases of {wildcards.study}"
    shell:
        """
        python scripts/plot_boxes.py \
            --config {params.config:q} \
            --scores {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_seeds:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    output:
        drawing("seeds", "Results"),
    log:
        "results/{study}/logs/plot_seeds.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_seeds.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the spread of the trainings of {wildcards.study}"
    shell:
        """
        python scripts/plot_seeds.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_external:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    output:
        drawing("external", "Results"),
    log:
        "results/{study}/logs/plot_external.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_external.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the external sources of {wildcards.study}"
    shell:
        """
        python scripts/plot_external.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_early:
    input:
        scores="results/{study}/evaluation/cases.parquet",
        lesions="results/{study}/evaluation/lesions.parquet",
    output:
        drawing("early", "Results"),
    log:
        "results/{study}/logs/plot_early.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_early.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the early detection of {wildcards.study}"
    shell:
        """
        python scripts/plot_early.py \
            --config {params.config:q} \
            --scores {input.scores:q} \
            --lesions {input.lesions:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_defects:
    input:
        "results/{study}/evaluation/summary.csv",
    output:
        drawing("defects", "Results"),
    log:
        "results/{study}/logs/plot_defects.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_defects.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing what each published defect does in {wildcards.study}"
    shell:
        """
        python scripts/plot_defects.py \
            --config {params.config:q} \
            --summary {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_scaling:
    input:
        "results/{study}/evaluation/cases.parquet",
    output:
        drawing("scaling", "Results"),
    log:
        "results/{study}/logs/plot_scaling.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_scaling.py"),
        settings=settings("evaluation", "recognition.arms", "arms", "synthesis"),
    message:
        "Drawing Dice by painted lesions in {wildcards.study}"
    shell:
        """
        python scripts/plot_scaling.py \
            --config {params.config:q} \
            --scores {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_failures:
    input:
        failures="results/{study}/evaluation/sheets/failures.csv",
        pictures="results/{study}/evaluation/sheets/failures.npz",
    output:
        drawing("failures", "Results"),
    log:
        "results/{study}/logs/plot_failures.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_failures.py"),
        settings=settings("preset", "presets", "recognition.arms"),
    message:
        "Drawing the worst cases of {wildcards.study}"
    shell:
        """
        python scripts/plot_failures.py \
            --config {params.config:q} \
            --failures {input.failures:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_froc:
    input:
        froc="results/{study}/evaluation/froc.csv",
        patients="results/{study}/evaluation/patients.csv",
    output:
        drawing("froc", "Results"),
    log:
        "results/{study}/logs/plot_froc.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_froc.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the detection of lesions and patients of {wildcards.study}"
    shell:
        """
        python scripts/plot_froc.py \
            --config {params.config:q} \
            --froc {input.froc:q} \
            --patients {input.patients:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_calibration:
    input:
        "results/{study}/evaluation/calibration.csv",
    output:
        drawing("calibration", "Results"),
    log:
        "results/{study}/logs/plot_calibration.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_calibration.py"),
        settings=settings("evaluation", "recognition.arms"),
    message:
        "Drawing the calibration of {wildcards.study}"
    shell:
        """
        python scripts/plot_calibration.py \
            --config {params.config:q} \
            --calibration {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_privacy:
    input:
        "results/{study}/evaluation/privacy_distances.csv",
    output:
        drawing("privacy", "Painting"),
    log:
        "results/{study}/logs/plot_privacy.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_privacy.py"),
        settings=settings("synthesizers", "synthesis.synthesizers"),
    message:
        "Drawing how close painted lesions of {wildcards.study} come to real ones"
    shell:
        """
        python scripts/plot_privacy.py \
            --config {params.config:q} \
            --distances {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule build_report:
    input:
        summary="results/{study}/evaluation/summary.csv",
        arms="results/{study}/evaluation/arms.csv",
        sizes="results/{study}/evaluation/sensitivity_by_size.csv",
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
        classification=CLASSIFICATION,
        tables=[*DETECTION, *CALIBRATION, *REALISM, *DISTRIBUTIONS, *PRIVACY],
        claims=CLAIMED,
        checklist="results/{study}/reporting/claim2024.csv",
        cards="results/{study}/reporting/model_cards.csv",
        figures=FIGURES,
    output:
        report("results/{study}/report.html", caption="../docs/reporting/captions/report.rst", category="Report"),
    log:
        "results/{study}/logs/build_report.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        provenance=[path.replace("weights.safetensors", "provenance.json") for path in [*SYNTHESIZER_WEIGHTS, *RECOGNIZERS]],
        optional=lambda wildcards, input: flags(classification=" ".join(input.classification), claims=" ".join(input.claims)),
        code=code_hash("build_report.py"),
        settings=settings(*STUDY.model_dump()),
    message:
        "Writing the report of {wildcards.study}"
    shell:
        """
        python scripts/build_report.py \
            --config {params.config:q} \
            --summary {input.summary:q} \
            --arms {input.arms:q} \
            --sizes {input.sizes:q} \
            --cases {input.cases:q} \
            --quarantine {input.quarantine:q} \
            {params.optional} \
            --tables {input.tables:q} \
            --checklist {input.checklist:q} \
            --cards {input.cards:q} \
            --figures {input.figures:q} \
            --provenance {params.provenance:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
