"""Draw every figure from its tables, and bind them into one page.

Needs   the tables of cases, manifests, histories and the evaluation
Gives   results/<study>/figures/<name>.{png,pdf,csv} and results/<study>/report.html
Steps   the plots that `Config.figures` names for the task → build_report
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
        settings=settings("organs", "task", "categories", "preset", "presets"),
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
        settings=settings("organs", "task", "categories", "preset", "presets"),
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
        settings=settings("synthesizers", "organs", "task", "categories"),
    message:
        "Drawing what the gates of {wildcards.study} accept"
    shell:
        """
        python scripts/plot_gate.py \
            --config {params.config:q} \
            --manifests {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_samples:
    input:
        cases=FOLD_TABLES[0],
        manifests=[path for path in BANKS if f"/fold{STUDY.folds[0]}/" in path],
    output:
        multiext("results/{study}/figures/samples", png=".png", pdf=".pdf", csv=".csv"),
    log:
        "results/{study}/logs/plot_samples.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_samples.py"),
        settings=settings("categories", "preset", "presets", "seed"),
    message:
        "Drawing real next to synthetic images of {wildcards.study}"
    shell:
        """
        python scripts/plot_samples.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifests {input.manifests:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_fidelity:
    input:
        FIDELITY,
    output:
        multiext("results/{study}/figures/fidelity", png=".png", pdf=".pdf", csv=".csv"),
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
        multiext("results/{study}/figures/curves", png=".png", pdf=".pdf", csv=".csv"),
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
        multiext("results/{study}/figures/confusion", png=".png", pdf=".pdf", csv=".csv"),
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
        cases=FOLD_TABLES[0],
        weights=[f"{folder}/weights.safetensors" for folder in EMBEDDED],
    output:
        multiext("results/{study}/figures/embedding", png=".png", pdf=".pdf", csv=".csv"),
    log:
        "results/{study}/logs/plot_embedding.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        config=CONFIG,
        code=code_hash("plot_embedding.py"),
        settings=settings("task", "categories", "recognition.network", "preset", "presets", "seed"),
    message:
        "Drawing the last layer of the recognizers of {wildcards.study}"
    shell:
        """
        python scripts/plot_embedding.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --weights {input.weights:q} \
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


rule build_report:
    input:
        summary="results/{study}/evaluation/summary.csv",
        arms="results/{study}/evaluation/arms.csv",
        sizes="results/{study}/evaluation/sensitivity_by_size.csv",
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
        classification=CLASSIFICATION,
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
        provenance=[path.replace("weights.safetensors", "provenance.json") for path in [*SYNTHESIZER_WEIGHTS, *RECOGNIZERS][:1]],
        classification=lambda wildcards, input: flags(classification=" ".join(input.classification)),
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
            {params.classification} \
            --figures {input.figures:q} \
            --provenance {params.provenance:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
