"""The authoring API: what people write workflows and activities with."""
