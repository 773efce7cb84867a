"""Jobs of this computer: their client, their processes, their estimates."""
