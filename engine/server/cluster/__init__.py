"""Jobs on the machines of a Ray cluster: the server's side, the process that speaks with Ray, and what runs on the machines."""
