"""Models-as-a-Service on Kuadrant: the settings of the stack, its layers in order, what it exports."""

import pulumi

from components.cluster import Cluster
from components.exports import exports
from components.gateway import Gateway
from components.housekeeping import Housekeeping
from components.identity import Identity
from components.isolation import Isolation
from components.keycloak import KeycloakServer
from components.kserve import KServe
from components.kuadrant import Kuadrant
from components.layer import Site
from components.models import Models
from components.observability import Observability
from components.operators import Operators
from components.platform import Platform
from components.policies import Policies
from config.problems import ConfigError
from config.source import settings

try:
    site = Site(pulumi.get_stack(), settings(pulumi.get_stack()))
except ConfigError as error:
    raise pulumi.RunError(str(error)) from error

cluster = Cluster(site)


def after(*needed: pulumi.Resource) -> pulumi.ResourceOptions:
    """Options of a layer: on the stack's cluster, after the layers that it needs.

    A layer or operator without objects passes no order on: what stands behind it has to be named too.
    """
    return pulumi.ResourceOptions(providers=[cluster.provider], depends_on=list(needed))


platform = Platform(site, after())
# What stands in the way of others goes first: a second mesh before ours, another product's webhook before models.
housekeeping = Housekeeping(site, after(platform))
operators = Operators(site, mesh_after=housekeeping.mesh, opts=after())
# KServe's and Kuadrant's settings are read by their controllers.
kserve = KServe(site, after(operators.kserve))
kuadrant = Kuadrant(site, after(operators.kuadrant))
# The mesh programs the Gateway, in our namespace; its certificate, should there be one, is cert-manager's.
mesh = (operators.gateway_api, operators.service_mesh)
gateway = Gateway(site, certificates_after=operators.cert_manager, opts=after(*mesh, platform))
# Keys live in Kuadrant's namespace.
identity = Identity(site, after(operators.kuadrant))
# For development: an identity provider whose tokens the policies accept. Authorino asks again until it is there.
KeycloakServer(site, after())
# Policies target the Gateway and are enforced by Kuadrant.
policies = Policies(site, after(operators.kuadrant, kuadrant, gateway))
# Who may reach models, and Kuadrant's services, on the cluster's own network.
isolation = Isolation(site, after(operators.kuadrant, platform))
# Models start meanwhile; a route to one opens only when the policies hold.
serving = (operators.kserve, kserve, *housekeeping.kserve)
models = Models(site, routes_after=policies, opts=after(*serving, platform, isolation))
# Monitors and rules are served by the Prometheus operator and stand beside what they watch; dashboards by Grafana's.
monitoring = (operators.monitoring, operators.grafana, *housekeeping.monitoring)
observability = Observability(site, after(*monitoring, operators.kuadrant, platform))

for name, value in exports(site.settings).items():
    pulumi.export(name, value)
