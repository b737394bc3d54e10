module { dialect: "empty", messages: [] };
