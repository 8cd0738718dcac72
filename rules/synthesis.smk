"""Paint lesions at scale.

Needs   the trained synthesizer and the segmenter of a fold, and the fold table
Gives   results/<study>/fold<k>/synthesis/<synthesizer>/manifest.parquet and the bank of patches beside it
Steps   synthesize_shard → merge_manifests (→ export_nifti, export_nnunet, export_dicom, export_monai, export_deck)
"""


rule synthesize_shard:
    input:
        unpack(synthesis_inputs),
    output:
        "results/{study}/fold{fold}/synthesis/{synthesizer}/shard{shard}.parquet",
    log:
        "results/{study}/logs/synthesize_shard/fold{fold}-{synthesizer}-{shard}.log",
    benchmark:
        "results/{study}/benchmarks/synthesize_shard/fold{fold}-{synthesizer}-{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: STUDY.compute.torch_threads
    resources:
        gpu=gpus(most=1),
        mem_mb=memory("synthesize_shard"),
        runtime=minutes("synthesize_shard"),
    params:
        config=CONFIG,
        networks=optional_flags,
        launch=launch(),
        code=code_hash("synthesize_shard.py"),
        settings=named_settings(
            "synthesizers",
            "organs",
            "task",
            "categories",
            "preset",
            "presets",
            "seed",
            "synthesis.lesions_per_case",
            "synthesis.lesions_per_volume",
            "synthesis.images_per_category",
            "synthesis.shards",
            "compute.torch_threads",
        ),
    message:
        "Painting shard {wildcards.shard} of fold {wildcards.fold} with {wildcards.synthesizer}"
    shell:
        """
        {params.launch} scripts/synthesize_shard.py \
            --config {params.config:q} \
            --synthesizer {wildcards.synthesizer} \
            --fold {wildcards.fold} \
            --shard {wildcards.shard} \
            --cases {input.cases:q} \
            {params.networks} \
            --manifest {output:q} 2>&1 | tee {log:q}
        """


rule merge_manifests:
    input:
        [
            f"results/{{study}}/fold{{fold}}/synthesis/{{synthesizer}}/shard{shard}.parquet"
            for shard in range(STUDY.synthesis.shards)
        ],
    output:
        "results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    log:
        "results/{study}/logs/merge_manifests/fold{fold}-{synthesizer}.log",
    benchmark:
        "results/{study}/benchmarks/merge_manifests/fold{fold}-{synthesizer}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("merge_manifests"),
        runtime=minutes("merge_manifests"),
    params:
        code=code_hash("merge_manifests.py"),
    message:
        "Merging the manifest of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/merge_manifests.py \
            --shards {input:q} \
            --manifest {output:q} 2>&1 | tee {log:q}
        """


rule export_nifti:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    output:
        "results/{study}/fold{fold}/export/{synthesizer}/exports.csv",
    log:
        "results/{study}/logs/export_nifti/fold{fold}-{synthesizer}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_volumes"),
        runtime=minutes("export_volumes"),
    params:
        config=CONFIG,
        code=code_hash("export_nifti.py"),
        settings=settings("synthesis.export_cases", "synthesis.export_variants", "organs", "preset", "presets"),
    message:
        "Exporting NIfTI pairs of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/export_nifti.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule export_nnunet:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    output:
        "results/{study}/fold{fold}/export/{synthesizer}/nnunet/exports.csv",
    log:
        "results/{study}/logs/export_nnunet/fold{fold}-{synthesizer}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_volumes"),
        runtime=minutes("export_volumes"),
    params:
        config=CONFIG,
        code=code_hash("export_nnunet.py"),
        settings=settings("synthesis", "arms", "recognition.arms", "title", "organs", "preset", "presets"),
    message:
        "Exporting a data set for nnU-Net of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/export_nnunet.py \
            --config {params.config:q} \
            --fold {wildcards.fold} \
            --synthesizer {wildcards.synthesizer} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule export_dicom:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    output:
        "results/{study}/fold{fold}/export/{synthesizer}/dicom/exports.csv",
    log:
        "results/{study}/logs/export_dicom/fold{fold}-{synthesizer}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_volumes"),
        runtime=minutes("export_volumes"),
    params:
        config=CONFIG,
        code=code_hash("export_dicom.py"),
        settings=settings("synthesis.export_cases", "synthesis.export_variants", "organs", "preset", "presets"),
    message:
        "Exporting DICOM series of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/export_dicom.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule export_monai:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    output:
        "results/{study}/fold{fold}/export/{synthesizer}/monai/exports.csv",
    log:
        "results/{study}/logs/export_monai/fold{fold}-{synthesizer}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_volumes"),
        runtime=minutes("export_volumes"),
    params:
        config=CONFIG,
        code=code_hash("export_monai.py"),
        settings=settings(
            "synthesis.export_real",
            "title",
            "synthesis.export_cases",
            "synthesis.export_variants",
            "organs",
            "preset",
            "presets",
        ),
    message:
        "Exporting a data list for MONAI of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/export_monai.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """


rule export_deck:
    input:
        cases="results/{study}/fold{fold}/cases.parquet",
        manifest="results/{study}/fold{fold}/synthesis/{synthesizer}/manifest.parquet",
    output:
        "results/{study}/fold{fold}/export/{synthesizer}/deck.csv",
    log:
        "results/{study}/logs/export_deck/fold{fold}-{synthesizer}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_banks"),
        runtime=minutes("read_banks"),
    params:
        config=CONFIG,
        code=code_hash("export_deck.py"),
        settings=settings("synthesis", "task", "categories", "seed", "preset", "presets"),
    message:
        "Exporting a deck for a Visual Turing Test of {wildcards.synthesizer} in fold {wildcards.fold}"
    shell:
        """
        python scripts/export_deck.py \
            --config {params.config:q} \
            --cases {input.cases:q} \
            --manifest {input.manifest:q} \
            --output {output:q} 2>&1 | tee {log:q}
        """
