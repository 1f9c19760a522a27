"""`./maas doctor`: looks at a live cluster, changes nothing, and says what is wrong with it, and what to do.

`snapshot` reads the cluster once, `case` puts it beside what the program would deploy, each function in `checks` judges
one thing, `causes` tells a broken thing from those that are broken because of it, `report` says it all.
"""
