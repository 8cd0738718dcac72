"""The benchmark of duplicates finds planted copies, and prints its numbers last."""


def test_the_copies_of_a_phantom_are_found(capsys):
    from benchmarks.copies import main

    results = main("", ["--phantoms", "1", "--volumes", "20"])
    assert {name: value for name, value in results.items() if name.startswith("found")} == {
        f"found {kind}": 1.0
        for kind in (
            "same voxels",
            "mirrored",
            "plus 10 HU",
            "noise of 5 HU",
            "1.5 mm voxels",
            "cropped by a fifth",
            "cropped and mirrored",
        )
    }
    assert results["false_pairs"] == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("seconds 20 ")
