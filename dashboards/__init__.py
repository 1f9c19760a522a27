"""The dashboards: code in this folder, and the JSON that is made of it and checked in."""
