package org.elasticsearch.plugins;

import java.util.List;
import java.util.Map;
import java.util.Set;

import org.elasticsearch.env.Environment;
import org.elasticsearch.transport.netty4.Netty4Plugin;

/** The modules of a node that runs from the class path: HTTP and no more. */
public final class OneModule extends PluginsService {
    private List<LoadedPlugin> one;

    public OneModule(Environment environment) {
        super(environment.settings(), environment.configDir(), none());
    }

    public static PluginsLoader none() {
        return new PluginsLoader(Set.of(), Set.of(), Map.of());
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        if (one == null) {
            String name = Netty4Plugin.class.getName();
            PluginDescriptor descriptor = new PluginDescriptor(
                name, "HTTP", "1", "1", "21", name, null, List.of(), false, false, false, false,
                PluginDescriptor.DeploymentTarget.ALL);
            one = List.of(new LoadedPlugin(descriptor, new Netty4Plugin(), OneModule.class.getClassLoader()));
        }
        return one;
    }
}
