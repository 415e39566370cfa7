# What a wrapping token may do: tell about what it wraps, open it once, or give it up. Only the wallet gives this
# policy, and nobody changes it.

path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["read", "update"]
}
path "cubbyhole/response" {
  capabilities = ["read"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
