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
        mem_mb=memory("read_cases"),
        runtime=minutes("read_cases"),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory("read_cases"),
        runtime=minutes("read_cases"),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        code=code_hash("plot_privacy.py"),
        settings=settings("synthesizers", "synthesis.synthesizers", "recognition.arms"),
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
        mem_mb=memory("read_cases"),
        runtime=minutes("read_cases"),
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
