"""The quickstart: the whole loop on an embedded Hub, with real text, a real model and no download but packages."""
