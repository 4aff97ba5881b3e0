"""What pyproject.toml cannot say: studies lie beside the packages in a clone, and inside one in a wheel."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithStudies(build_py):
    """Puts `studies/` into the package `harness` of a wheel; an editable installation reads the clone's own."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "harness" / "studies"
            self.mkpath(str(folder))
            for path in sorted(Path("studies").glob("*.*")):
                self.copy_file(str(path), str(folder / path.name))


setup(cmdclass={"build_py": WithStudies})
