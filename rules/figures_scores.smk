"""Draw what segmenting recognizers score: arms compared, lesions found, failures.

Needs   the tables of the evaluation and its sheet of failures
Gives   results/<study>/figures/<name>.{png,pdf,csv,md}
Steps   the plots that `Config.figures` names for the task
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory("read_scores"),
        runtime=minutes("read_scores"),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
