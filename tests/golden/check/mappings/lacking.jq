module { through: "lacking", up: "f", down: "g" };
def f: .;
