"""Draw what classifying recognizers score, and how like real ones synthetic images are.

Needs   the tables of the evaluation, the fidelity of each bank and the sheet of embeddings
Gives   results/<study>/figures/<name>.{png,pdf,csv,md}
Steps   the plots that `Config.figures` names for the task
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
        mem_mb=memory(2000),
        runtime=minutes(20),
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
