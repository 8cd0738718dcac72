"""Analyze a Visual Turing Test, on request: nothing else needs it, and no computer can read the deck in place of people.

Needs   the answers of readers and the sealed key of the deck, where evaluation.reading says
Gives   results/<study>/evaluation/reading.csv, when it is named as a target
Steps   score_reading
"""


rule score_reading:
    input:
        answers=[STUDY.evaluation.reading.answers] if STUDY.evaluation.reading else [],
        key=[STUDY.evaluation.reading.key] if STUDY.evaluation.reading else [],
    output:
        "results/{study}/evaluation/reading.csv",
    log:
        "results/{study}/logs/score_reading.log",
    benchmark:
        "results/{study}/benchmarks/score_reading.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        tables=lambda wildcards, input: flags(answers=" ".join(input.answers), key=" ".join(input.key)),
        code=code_hash("score_reading.py"),
        settings=settings("evaluation.reading", "evaluation.confidence"),
    message:
        "Analyzing the answers of readers to a deck of {wildcards.study}"
    shell:
        """
        python scripts/score_reading.py \
            --config {params.config:q} \
            {params.tables} \
            --output {output:q} 2>&1 | tee {log:q}
        """
