from single import A
