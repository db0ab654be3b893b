"""The detector behind HTTP, and its way to KServe and to the Kubeflow Model Registry."""
