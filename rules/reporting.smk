"""Say what a reader must know: published numbers beside ours, a card per network, a data sheet, the reporting checklist; finish.

Needs   the tables of cases and of the evaluation, and all trained weights with what lies beside them
Gives   results/<study>/evaluation/claims.csv, if the study names published numbers, and
        results/<study>/reporting/{model_card_<kind>[_<name>].md,model_cards.csv,data_sheet.md,claim2024.csv}; when all is done,
        results/<study>/{checksums.json,costs.csv,costs.html}
Steps   compare_claims; build_cards → build_checklist; finish_study
"""


rule compare_claims:
    input:
        published=CLAIMS,
        summary="results/{study}/evaluation/summary.csv",
        classification=CLASSIFICATION,
    output:
        tabled("results/{study}/evaluation/claims.csv", "claimed and reproduced", "claims"),
    log:
        "results/{study}/logs/compare_claims.log",
    benchmark:
        "results/{study}/benchmarks/compare_claims.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        classification=lambda wildcards, input: flags(classification=" ".join(input.classification)),
        code=code_hash("compare_claims.py"),
        settings=settings("evaluation", "arms", "recognition.arms", "sources"),
    message:
        "Setting published numbers beside those of {wildcards.study}"
    shell:
        """
        python scripts/compare_claims.py \
            --config {params.config:q} \
            --published {input.published:q} \
            --summary {input.summary:q} \
            {params.classification} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule build_cards:
    input:
        cases="results/{study}/cases.parquet",
        quarantine="results/{study}/quarantine.tsv",
        folds=FOLD_TABLES,
        arms="results/{study}/evaluation/arms.csv",
        summary="results/{study}/evaluation/summary.csv",
        realism=REALISM,
        weights=[*SYNTHESIZER_WEIGHTS, *RECOGNIZERS],
    output:
        index="results/{study}/reporting/model_cards.csv",
        data="results/{study}/reporting/data_sheet.md",
        cards=expand("results/{{study}}/reporting/model_card_{name}.md", name=CARDS),
    log:
        "results/{study}/logs/build_cards.log",
    benchmark:
        "results/{study}/benchmarks/build_cards.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_cases"),
        runtime=minutes("read_cases"),
    params:
        config=CONFIG,
        realism=lambda wildcards, input: flags(realism=" ".join(input.realism)),
        folder=lambda wildcards, output: os.path.dirname(output.index),
        code=code_hash("build_cards.py"),
        settings=settings(*STUDY.model_dump()),
    message:
        "Writing the model cards and the data sheet of {wildcards.study}"
    shell:
        """
        python scripts/build_cards.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --quarantine {input.quarantine:q} \
            --folds {input.folds:q} \
            --arms {input.arms:q} \
            --summary {input.summary:q} \
            {params.realism} \
            --weights {input.weights:q} \
            --output {params.folder:q} 2>&1 | tee {log:q}
        """


rule build_checklist:
    input:
        answers="docs/reporting/claim2024.yaml",
        cards="results/{study}/reporting/model_cards.csv",
        summary="results/{study}/evaluation/summary.csv",
        classification=CLASSIFICATION,
        figures=FIGURES,
    output:
        tabled("results/{study}/reporting/claim2024.csv", "reporting checklist", "claim2024"),
    log:
        "results/{study}/logs/build_checklist.log",
    benchmark:
        "results/{study}/benchmarks/build_checklist.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        results=lambda wildcards, input: os.path.dirname(os.path.dirname(input.summary)),
        code=code_hash("build_checklist.py"),
        settings=settings("task", "sources", "reporting", "recognition.training"),
    message:
        "Answering the reporting checklist for {wildcards.study}"
    shell:
        """
        python scripts/build_checklist.py \
            --config {params.config:q} \
            --items {input.answers:q} \
            --results {params.results:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


# Also done when any run ends well (Snakefile). That alone would not do: killed right then, a run would never do it again.
rule finish_study:
    input:
        REPORT,
        BANKS,
    output:
        checksums=update("results/{study}/checksums.json"),
        costs=multiext("results/{study}/costs", ".csv", ".html"),
    log:
        "results/{study}/logs/finish_study.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        config=CONFIG,
        results=subpath(output.checksums, ancestor=2),
        code=code_hash("finish_study.py"),
    message:
        "Finishing {wildcards.study}"
    shell:
        """
        python scripts/finish_study.py \
            --config {params.config:q} \
            --results {params.results:q} 2>&1 | tee {log:q}
        """
