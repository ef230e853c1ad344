// Pictures that a person brings: chosen, dropped on the page, or pasted.

/** `brought` hears the files, one or more, each time. */
export function listen(choose: HTMLButtonElement, input: HTMLInputElement, brought: (files: File[]) => void): void {
  const bring = (files: Iterable<File> | null | undefined) => {
    const list = [...(files ?? [])];
    if (list.length > 0) brought(list);
  };
  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    bring(input.files);
    input.value = ""; // the same file may be chosen again
  });
  window.addEventListener("paste", (event) => bring(event.clipboardData?.files));

  const dropping = (is: boolean) => document.body.classList.toggle("dropping", is);
  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // else the browser opens the file instead of this page
    dropping(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) dropping(false);
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    dropping(false);
    bring(event.dataTransfer?.files);
  });
}
