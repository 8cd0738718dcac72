"""Draw every figure from its tables, and bind them into one page.

Needs   the tables of cases, manifests, histories and the evaluation
Gives   results/<study>/figures/<name>.{png,pdf,csv} and results/<study>/report.html
Steps   plot_cohort, plot_lesions, plot_training, plot_differences, plot_sizes, plot_gate → build_report
        (plot_canvases: on request, from volumes alone)
"""


rule plot_cohort:
    input:
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
    output:
        multiext("results/{study}/figures/cohort", png=".png", pdf=".pdf", csv=".csv"),
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
        settings=settings("organs", "preset", "presets"),
    message:
        "Drawing the cohort of {wildcards.study}"
    shell:
        """
        python scripts/plot_cohort.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --quarantine {input.quarantine:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_lesions:
    input:
        cases=FOLD_TABLES[0],
        manifests=[path for path in BANKS if f"/fold{STUDY.folds[0]}/" in path],
    output:
        multiext("results/{study}/figures/lesions", png=".png", pdf=".pdf", csv=".csv"),
    log:
        "results/{study}/logs/plot_lesions.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_lesions.py"),
        settings=settings("organs", "preset", "presets"),
    message:
        "Drawing real next to synthetic lesions of {wildcards.study}"
    shell:
        """
        python scripts/plot_lesions.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifests {input.manifests:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_training:
    input:
        HISTORIES,
    output:
        multiext("results/{study}/figures/training", png=".png", pdf=".pdf", csv=".csv"),
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
        multiext("results/{study}/figures/differences", png=".png", pdf=".pdf", csv=".csv"),
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
        multiext("results/{study}/figures/sizes", png=".png", pdf=".pdf", csv=".csv"),
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
        BANKS,
    output:
        multiext("results/{study}/figures/gate", png=".png", pdf=".pdf", csv=".csv"),
    log:
        "results/{study}/logs/plot_gate.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_gate.py"),
        settings=settings("synthesizers", "organs"),
    message:
        "Drawing what the gates of {wildcards.study} accept"
    shell:
        """
        python scripts/plot_gate.py \
            --config {params.config:q} \
            --manifests {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_canvases:
    input:
        VOLUMES,
    output:
        multiext("results/{study}/figures/canvases", png=".png", pdf=".pdf", csv=".csv"),
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
        settings=settings("organs", "preset", "presets", "seed", "synthesizers"),
    message:
        "Painting into the volumes of {wildcards.study} without training"
    shell:
        """
        python scripts/plot_canvases.py \
            --config {params.config:q} \
            --volumes {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule build_report:
    input:
        summary="results/{study}/evaluation/summary.csv",
        arms="results/{study}/evaluation/arms.csv",
        sizes="results/{study}/evaluation/sensitivity_by_size.csv",
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
        figures=FIGURES,
    output:
        "results/{study}/report.html",
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
        provenance=[path.replace("weights.safetensors", "provenance.json") for path in SYNTHESIZER_WEIGHTS[:1]],
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
            --figures {input.figures:q} \
            --provenance {params.provenance:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
